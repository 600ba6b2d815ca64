"""A headless Chromium, for the tests of the page and for the screenshots in the documentation."""

import json
import shutil
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

PHONE, DESKTOP = (400, 800), (1300, 1000)
_BROWSERS, _DRIVERS = ("chromium", "chromium-browser", "google-chrome", "chrome"), ("chromedriver",)


class BrowserMissingError(Exception):
    """No Chromium is installed, or it does not start; the message says so."""


def start_chromium() -> webdriver.Chrome:
    """Start a headless Chromium that is installed on this machine. Nothing is downloaded.

    Raises:
        BrowserMissingError: there is none.
    """
    binary, driver = (next(filter(None, map(shutil.which, names)), None) for names in (_BROWSERS, _DRIVERS))
    if binary is None or driver is None:
        raise BrowserMissingError(
            "no Chromium with its driver is installed (Debian: apt install chromium chromium-driver)"
        )
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--lang=en"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    try:
        return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    except WebDriverException as error:
        raise BrowserMissingError(f"Chromium does not start: {error.msg}") from None


class Browser:
    """The page of `dancing app` in a headless Chromium."""

    def __init__(self, driver: webdriver.Chrome, address: str) -> None:
        self.driver, self.address = driver, address

    def open(self, size: tuple[int, int], theme: str = "light") -> None:
        """Open the page in a window of this size, px, and wait until it is there."""
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.get(f"{self.address}?__theme={theme}")
        self.wait(lambda: self.button("Dance"))

    def wait(self, condition: Callable[[], Any], seconds: float = 120) -> Any:
        """Wait until a condition is true, and return what it returned."""
        return WebDriverWait(self.driver, seconds, 0.05).until(lambda _: condition())

    def all(self, selector: str) -> list[Any]:
        """All elements of a CSS selector."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def button(self, text: str) -> Any:
        """The button that is shown with this text."""
        return next(
            (
                found
                for found in self.all("button.primary, button.secondary")
                if found.text == text and found.is_displayed()
            ),
            None,
        )

    def press(self, text: str) -> None:
        """Press a button."""
        self.driver.execute_script("arguments[0].click()", self.wait(lambda: self.button(text)))

    def tab(self, name: str) -> None:
        """Choose a tab."""
        self.driver.execute_script(
            "[...document.querySelectorAll('button[role=tab]')].find(tab => tab.innerText === arguments[0]).click()",
            name,
        )
        self.wait(lambda: [tab.text for tab in self.all("button[role=tab][aria-selected=true]")] == [name])
        time.sleep(0.5)  # until its content has taken the place of the other's

    def upload(self, path: Path) -> None:
        """Give a file to the upload that is shown."""
        uploads = [
            found for found in self.all("input[type=file]") if found.find_element(By.XPATH, "./..").is_displayed()
        ]
        uploads[0].send_keys(str(path.absolute()))
        self.wait(lambda: "Uploading" not in self.text(), 30)
        time.sleep(1)  # the page has then told the server

    def drag(self, element: Any, right: int, down: int) -> None:
        """Drag an element by so many px."""
        ActionChains(self.driver).drag_and_drop_by_offset(element, right, down).perform()

    def text(self) -> str:
        """All text that is shown."""
        return str(self.driver.find_element(By.TAG_NAME, "body").text)

    def overflow(self) -> int:
        """By how many px the page is wider than the window. On a phone, `innerWidth` would grow with what overflows."""
        script = "const page = document.documentElement; return page.scrollWidth - page.clientWidth"
        return int(self.driver.execute_script(script))

    def fetched_elsewhere(self) -> list[str]:
        """Addresses on other machines that were asked for."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        return [url for url in asked if urllib.parse.urlparse(url).hostname not in (None, "", "127.0.0.1")]
