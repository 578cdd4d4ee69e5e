# SPDX-License-Identifier: Apache-2.0
"""tests/integration/test_bench_page.py - the page that penstock bench --report writes, in a browser:
Chromium without a window, from file://.

What is where is told by a script that is added to a copy of the page, what was asked of the network
by Chromium's own log of it.
"""

import json
import re
import shutil
import subprocess
from html import unescape

import numpy
import pytest
from PIL import Image

BROWSERS = ("chromium-headless-shell", "chromium")
WIDTH, HEIGHT = 1000, 3000
# Of every plot: where it is, and of its curves and columns how long and how large they are drawn.
LOOK = """<script>
const plots = {};
for (const svg of document.querySelectorAll("svg")) {
    const box = svg.getBoundingClientRect();
    const inside = [...svg.querySelectorAll("polyline, rect, text")].every(shape => {
        const of = shape.getBoundingClientRect();
        return of.left >= box.left - 1 && of.right <= box.right + 1 &&
               of.top >= box.top - 1 && of.bottom <= box.bottom + 1;
    });
    plots[svg.id] = {
        box: [box.left, box.top, box.right, box.bottom], inside: inside,
        curves: [...svg.querySelectorAll("polyline")].map(
            line => ({points: line.points.length, length: line.getTotalLength()})),
        rects: [...svg.querySelectorAll("rect")].map(rect => {
            const of = rect.getBoundingClientRect();
            return [of.left, of.top, of.width, of.height];
        }),
        texts: [...svg.querySelectorAll("text")].map(text => text.textContent),
    };
}
const told = document.createElement("pre");
told.id = "told";
told.textContent = JSON.stringify(plots);
document.body.append(told);
</script>
"""


class Browser:
    def __init__(self, program, work):
        self.command = [program, "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                        "--disable-dev-shm-usage",
                        f"--user-data-dir={work / 'profile'}", f"--window-size={WIDTH},{HEIGHT}",
                        "--hide-scrollbars"]
        self.work = work

    def open(self, page, *options):
        done = subprocess.run([*self.command, *options, page.as_uri()], capture_output=True,
                              text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def asked_for(self, page):
        """The addresses that the page made the browser ask the network for."""
        log = self.work / "net.json"
        self.open(page, f"--log-net-log={log}", "--dump-dom")
        net = json.loads(log.read_text())
        kinds = {number: name for name, number in net["constants"]["logEventTypes"].items()}
        assert "URL_REQUEST_START_JOB" in kinds.values()
        return [event["params"]["url"] for event in net["events"] if "url" in event.get("params", {})]

    def look(self, page):
        copy = page.with_suffix(".look.html")
        copy.write_text(page.read_text().replace("</body>", LOOK + "</body>"))
        dom = self.open(copy, "--dump-dom")
        return json.loads(unescape(re.search(r'<pre id="told">(.*?)</pre>', dom, re.S)[1]))

    def picture(self, page):
        path = self.work / "page.png"
        self.open(page, f"--screenshot={path}")
        with Image.open(path) as picture:
            return numpy.asarray(picture.convert("RGB")).astype(int)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.fail(f"none of {', '.join(BROWSERS)} is installed: make test-deps")
    return Browser(program, tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def pages(run_penstock, tmp_path_factory):
    """Pages of decode, sweep and start, from files."""
    root = tmp_path_factory.mktemp("pages")
    (root / "csv").mkdir()
    line = ",".join(f"{value:.7f}" for value in numpy.random.default_rng(1).random(40))
    (root / "csv" / "rows.csv").write_text(f"{line}\n" * 20_000)
    made = {}
    for command, *words in (["decode", "--content-type", "text/csv", "--repeats", "2"],
                            ["sweep", "--grid", "1,2x128KiB,1MiB", "--repeats", "1"],
                            ["start", "--content-type", "text/csv", "--modes", "pipe,file",
                             "--repeats", "1", "--dir", root, "--json", root / "start.json"]):
        made[command] = root / f"{command}.html"
        run_penstock(["bench", command, root / "csv", *words, "--seconds", "0.6", "--warmup-s", "0.1",
                      "--memory-limit", "16MiB", "--label", "<b>&", "--quiet", "--report",
                      made[command]]).ok()
    return made


def drawn(picture, plot, colour):
    """How many pixels of a plot have about this colour."""
    left, top, right, bottom = (int(edge) for edge in plot["box"])
    apart = numpy.abs(picture[top:bottom, left:right] - numpy.array(colour)).max(axis=2)
    return int((apart < 40).sum())


@pytest.mark.plain_build
def test_the_plots_are_drawn(browser, pages):
    plots = browser.look(pages["decode"])
    picture = browser.picture(pages["decode"])
    assert list(plots) == ["throughput", "latency", "stages"]
    for name, plot in plots.items():
        left, top, right, bottom = plot["box"]
        assert right - left > 800 and 150 < bottom - top < 400 and plot["inside"], name
    throughput, latency, stages = plots.values()
    assert len(throughput["curves"]) == 2  # one for each repeat, of ten looks a second
    for curve in throughput["curves"]:
        assert curve["points"] >= 4 and curve["length"] > 200
    assert {"repeat 1", "repeat 2", "GiB/s"} <= set(throughput["texts"])
    assert sum(width * height > 20 for _, _, width, height in latency["rects"]) >= 3
    assert {"to the first byte", "to the last"} <= set(latency["texts"])
    assert len(stages["curves"]) == 4
    assert {"I/O", "frame", "decode", "consume"} <= set(stages["texts"])
    # The curves that are drawn last, and so are not hidden; a key has some 100 pixels.
    assert drawn(picture, throughput, (0xDC, 0x26, 0x26)) > 300
    assert drawn(picture, stages, (0x7C, 0x3A, 0xED)) > 300
    assert drawn(picture, latency, (0x86, 0xA8, 0xF4)) + drawn(picture, latency, (0xF1, 0x8B, 0x8B)) > 50
    blank = numpy.full_like(picture, 255)
    assert drawn(blank, throughput, (0xDC, 0x26, 0x26)) == 0


@pytest.mark.plain_build
def test_a_sweeps_grid_is_drawn(browser, pages):
    plots = browser.look(pages["sweep"])
    picture = browser.picture(pages["sweep"])
    assert list(plots) == ["grid"]
    grid = plots["grid"]
    assert grid["inside"] and len(grid["rects"]) >= 3
    assert min(width * height for _, _, width, height in grid["rects"]) > 300
    assert {"1 connections", "0.125 MiB parts", "1 MiB parts"} <= set(grid["texts"])
    left, top, right, bottom = (int(edge) for edge in grid["box"])
    colours = numpy.unique(picture[top:bottom, left:right].reshape(-1, 3), axis=0)
    assert len(colours) > 10


@pytest.mark.plain_build
def test_a_starts_bars_are_as_long_as_it_took(browser, pages):
    plots = browser.look(pages["start"])
    result = json.loads(pages["start"].with_suffix(".json").read_text())
    assert list(plots) == ["start"] and plots["start"]["inside"]
    assert {"pipe", "file", "first batch", "all is downloaded"} <= set(plots["start"]["texts"])
    first_batch_s = [v["summary"]["first_batch_s"]["median"] for v in result["variants"]]
    bars = {}
    for x, y, width, height in plots["start"]["rects"]:
        if height > 15:  # the others are keys
            left, right = bars.get(y, (x, x))
            bars[y] = (min(left, x), max(right, x + width))
    lengths = [right - left for _, (left, right) in sorted(bars.items())]
    assert len(lengths) == 2
    assert lengths[0] / lengths[1] == pytest.approx(first_batch_s[0] / first_batch_s[1], rel=0.02)
    assert drawn(browser.picture(pages["start"]), plots["start"], (0x7C, 0x3A, 0xED)) > 100


@pytest.mark.plain_build
def test_a_page_asks_for_nothing(browser, pages):
    """And a page that does is noticed."""
    for page in pages.values():
        assert browser.asked_for(page) == []
        assert "<script" not in page.read_text()
    asks = pages["decode"].with_name("asks.html")
    asks.write_text(pages["decode"].read_text().replace(
        "</body>", '<img src="http://127.0.0.1:9/pixel.png"></body>'))
    assert "http://127.0.0.1:9/pixel.png" in browser.asked_for(asks)
