"""Screenshots of the page, MLflow, DVC's plots and the report, in docs/screenshots/. Run by `make screenshots`.

They show this checkout, so `dvc repro` comes first. A Chromium with its driver must be installed.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image
from selenium import webdriver

from dancing.params import Params, load_params
from docgen import ROOT
from docgen.browser import DESKTOP, Browser, start_chromium

OUT = ROOT / "docs/screenshots"
_WIDE = (1600, 900)
_COLOURS = 128  # of the palette, which makes the files a third as large


def main() -> None:
    """Take all screenshots."""
    OUT.mkdir(exist_ok=True)
    driver = start_chromium()
    try:
        _page(driver)
        _visit(driver, (ROOT / "reports/index.html").as_uri(), "report", (1200, 1000))
        _visit(driver, (ROOT / "dvc_plots/index.html").as_uri(), "plots", (1300, 900))
        with _mlflow() as address:
            _visit(driver, address, "mlflow", _WIDE, wait=12)
    finally:
        driver.quit()


def _page(driver: webdriver.Chrome) -> None:
    from dancing.app import page

    params = load_params()
    assert isinstance(params, Params)
    opened, address = page.serve(params, port=0, browser=False, block=False)
    browser = Browser(driver, address)
    browser.open((DESKTOP[0], 1150))
    browser.upload(ROOT / params.render.song)
    for number, name in enumerate(("Dance", "Another seed"), start=1):
        browser.press(name)
        browser.wait(lambda number=number: browser.text().count("s of dance") == number, 300)  # type: ignore[misc]
    driver.execute_script("document.querySelectorAll('video').forEach(video => { video.currentTime = 6 })")
    time.sleep(2)
    _save(driver, "page")
    browser.open(DESKTOP)
    browser.tab("Puppet")
    browser.wait(lambda: len(browser.all("#puppet circle")) > 0)
    elbow = next(c for c in browser.all("#puppet circle") if c.get_attribute("aria-label") == "left elbow")
    browser.drag(elbow, 25, -110)
    time.sleep(2)
    _save(driver, "puppet")
    opened.close()


@contextmanager
def _mlflow() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "dancing.cli", "ui", "--port", str(port)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    try:
        address = next(word for word in server.stdout.readline().split() if word.startswith("http"))
        for _ in range(120):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.5)
        yield address
    finally:
        server.terminate()
        server.wait(30)


def _visit(driver: webdriver.Chrome, address: str, name: str, size: tuple[int, int], wait: float = 3) -> None:
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.get(address)
    time.sleep(wait)
    # MLflow's assistant and its notice about shared views would hide the table.
    driver.execute_script(
        "for (const button of document.querySelectorAll('[aria-label^=Close], [aria-label^=close]')) button.click()"
    )
    time.sleep(1)
    _save(driver, name)


def _save(driver: webdriver.Chrome, name: str) -> None:
    path = OUT / f"{name}.png"
    driver.save_screenshot(str(path))
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(_COLOURS)
    small.save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
