"""The embedded zoo: handwritten digits, and small networks trained on them."""

NAMES = ("convnext", "mixer", "plain", "resnet", "small", "vit")
