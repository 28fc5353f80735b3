"""Pages as a browser shows them: no error, charts that answer, room on a phone, a keyboard, contrast, no network."""

from pathlib import Path

import browser as driver
import pytest
from conftest import make_plan
from large_plan import large_plan

from stitchc.documents import plan_document
from stitchc.report.html import page
from stitchc.report.page.compiled import sections

pytestmark = pytest.mark.skipif(driver.program() is None, reason="there is no Chromium")

#: Of WCAG 2: level AA, text of the size of a body's.
CONTRAST = 4.5

# Of every element with text of its own: its colour and what is behind it, as "r,g,b".
COLOURS = """
(() => {
  const found = [];
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
                             return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const behind = (node) => {
    const layers = [];
    for (let at = node; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((under, [r, g, b, a]) => {
      const share = a / 255;
      return under.map((value, k) => value * (1 - share) + [r, g, b][k] * share);
    }, [255, 255, 255]);
  };
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    const box = node.getBoundingClientRect();
    if (!own || !box.width || !box.height || node.closest("script, style, select, .skip")) continue;
    const what = node.className + " " + node.textContent.trim().slice(0, 40);
    found.push([what, rgba(getComputedStyle(node).color), behind(node)]);
  }
  return found;
})()
"""


@pytest.fixture(scope="module")
def tab():
    with driver.browser() as one:
        yield one


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    plan = large_plan()
    path = tmp_path_factory.mktemp("large") / "report.html"
    path.write_text(page("large", list(sections(plan, plan_document(plan), 'a = "x"\n'))), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    plan = make_plan()
    path = tmp_path_factory.mktemp("small") / "report.html"
    record = plan_document(plan)
    path.write_text(page("small", list(sections(plan, record, 'a = "x"\n'))), encoding="utf-8")
    return path


def painted(tab, figure: str) -> int:
    """How many colours the canvas of a chart has."""
    return tab.run(f"""(() => {{
      const canvas = document.querySelector('figure[data-chart="{figure}"] canvas');
      const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
      return new Set(new Uint32Array(data.buffer)).size;
    }})()""")


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_charts_are_drawn_without_an_error_and_without_a_network(tab, large, width, dark):
    tab.open(large, width, dark=dark)
    assert tab.errors() == []
    assert tab.requested() == [large.resolve().as_uri()]
    assert tab.run("document.querySelectorAll('figure.chart[data-drawn=yes]').length") == 2
    assert painted(tab, "heat") > 50 and painted(tab, "scatter") > 5


def test_a_large_report_opens_within_a_second_and_three_megabytes(tab, large):
    def opened() -> tuple[float, float]:
        before = tab.worked()
        return tab.open(large), tab.worked() - before

    # On a machine that others use meanwhile, seconds of the clock are not the page's own.
    assert any(min(times) < 1000 for times in (opened() for _ in range(5)))
    assert large.stat().st_size < 3e6


@pytest.mark.parametrize("name", ["large", "small"])
def test_a_phone_scrolls_down_only(tab, request, name):
    tab.open(request.getfixturevalue(name), 360)
    assert tab.run("document.documentElement.scrollWidth") <= 360
    outside = """[...document.querySelectorAll("body *")].filter(
      (node) => !node.closest(".scroll, .skip, pre, .strip, script")
      && node.getBoundingClientRect().right > 361).map((node) => node.outerHTML.slice(0, 120))"""
    assert tab.run(outside) == []


def test_the_pointer_names_a_candidate_and_a_pair_of_cuts(tab, large):
    tab.open(large)

    def told_at(figure: str, find: str) -> str:
        x, y = tab.run(f"""(() => {{
          const figure = document.querySelector('figure[data-chart="{figure}"]');
          figure.scrollIntoView({{block: "center"}});
          const marks = [];
          const walk = (item) => {{ if (item.items) item.items.forEach(walk); else marks.push(item); }};
          walk(figure.view.scenegraph().root);
          const mark = marks.find((item) => {find});
          const box = figure.querySelector("canvas").getBoundingClientRect();
          const [left, top] = figure.view.origin();
          const at = mark.width === undefined ? [mark.x, mark.y] : [mark.x + mark.width / 2, mark.y + mark.height / 2];
          const room = figure.view.padding();
          return [box.left + room.left + left + at[0], box.top + room.top + top + at[1]];
        }})()""")
        tab.move(x - 40, y)
        tab.move(x, y)
        return tab.run("""new Promise((done) => { let tries = 0; const look = () => {
          const tip = document.querySelector("#vg-tooltip-element.visible");
          if (tip || tries++ > 40) done(tip ? tip.innerText : ""); else setTimeout(look, 50); }; look(); })""")

    said = told_at(
        "heat", "item.datum && item.datum.row === '3 blocks.0.part3' && item.datum.column === '7 features.1.part3'"
    )
    assert "3 blocks.0.part3" in said and "7 features.1.part3" in said and "cka" in said
    said = told_at("scatter", "item.datum && item.datum.kind === 'hybrid'")
    assert "the hybrid" in said and "MACs" in said


def test_axes_are_chosen_with_the_keyboard(tab, large):
    tab.open(large)
    select = 'document.querySelectorAll("figure[data-chart=scatter] select")'
    assert tab.run(f"[...{select}[1].options].map((one) => one.value)") == [
        "params", "macs", "flops", "size_bytes", "memory_bytes",
    ]  # fmt: skip
    before = painted(tab, "scatter")
    tab.run(
        f'(() => {{ const list = {select}[0]; list.value = "similarity"; list.dispatchEvent(new Event("change")); }})()'
    )
    tab.run("new Promise((done) => setTimeout(done, 500))")
    assert painted(tab, "scatter") != before and tab.errors() == []


def test_a_closer_look_leaves_out_what_is_far_below_the_front(tab, large):
    tab.open(large)
    lowest = """Math.min(...(() => { const found = []; const walk = (item) => {
      if (item.items) item.items.forEach(walk); else if (item.datum && item.datum.kind) found.push(item.datum.score); };
      walk(document.querySelector("figure[data-chart=scatter]").view.scenegraph().root);
      return found.filter((value) => typeof value === "number"); })())"""
    before = tab.run(lowest)
    tab.run('document.querySelector("figure[data-chart=scatter] input[type=checkbox]").click()')
    tab.run("new Promise((done) => setTimeout(done, 500))")
    assert tab.run(lowest) > before and tab.errors() == []


def test_the_keyboard_reaches_links_choices_and_what_scrolls(tab, small):
    tab.open(small)
    tab.run("document.body.focus()")
    seen = []
    for _ in range(60):
        tab.press("Tab")
        found = tab.run("""(() => { const at = document.activeElement, style = getComputedStyle(at);
          const outlined = parseFloat(style.outlineWidth) > 0 && style.outlineStyle !== "none";
          return [at.tagName, at.className, outlined]; })()""")
        if found[0] == "BODY":
            break
        seen.append(found)
    assert {"A", "SELECT", "SUMMARY", "DIV", "BUTTON"} <= {tag for tag, _, _ in seen}
    assert seen[0][1] == "skip" and all(outlined for _, _, outlined in seen)


def luminance(colour) -> float:
    share = [v / 255 for v in colour[:3]]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in share]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_stands_out_from_its_ground(tab, small, dark):
    tab.open(small, dark=dark)
    tab.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    colours = tab.run(COLOURS)
    assert len(colours) > 100
    for what, ink, ground in colours:
        light, low = sorted((luminance(ink), luminance(ground)), reverse=True)
        assert (light + 0.05) / (low + 0.05) >= CONTRAST, (what, ink, ground)


def test_without_scripts_of_charts_a_page_keeps_its_pictures(tab, tmp_path, monkeypatch):
    monkeypatch.setattr("stitchc.report.html.library", lambda: None)
    plan = make_plan()
    path = tmp_path / "report.html"
    path.write_text(page("plain", list(sections(plan, plan_document(plan), ""))), encoding="utf-8")
    tab.open(path)
    assert tab.errors() == [] and path.stat().st_size < 200_000
    assert tab.run("document.querySelector('img.heat').naturalWidth") == 2
