"""The page of `dvc plots` for the dance, in dvc_plots/, without a network. Run by `make plots`; revisions may be given.

DVC's own template loads Vega, which draws the curves, from a server. Here it is part of the page.
"""

import subprocess
import sys
from typing import Any

import vl_convert
import yaml

from docgen import ROOT

TEMPLATE, OUT = ROOT / ".cache/plots_page.html", ROOT / "dvc_plots"


#: All curves are over epochs, and Vega would have ticks at half ones.
_WHOLE_EPOCHS = """
const embed = vegaEmbed, axisX = {tickMinStep: 1, format: "d"}
vegaEmbed = (place, spec, options) => embed(place, {...spec, config: {...spec.config, axisX}}, options)
"""


def template() -> str:
    """Return the HTML, with the places that DVC fills in braces."""
    vega: Any = vl_convert  # whose types are wrong
    script = vega.javascript_bundle().replace("</script", "<\\/script")
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Plots</title>\n'
        "<style>body { font: 15px system-ui, sans-serif; margin: 2em } img { max-width: 100% }</style>\n"
        f"<script>(() => {{ {script} }})()</script>\n<script>{_WHOLE_EPOCHS}</script>\n"
        "{refresh_tag}\n<body>\n{plot_divs}\n</body></html>\n"
    )


def names() -> list[str]:
    """The plots of the dance, file by file: DVC takes a folder for the folders of this name in pipelines/, too."""
    plots = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["plots"]
    curves = [next(iter(plot)) for plot in plots if not isinstance(plot, str)]
    folders = [ROOT / plot for plot in plots if isinstance(plot, str)]
    return curves + [str(path.relative_to(ROOT)) for folder in folders for path in sorted(folder.glob("*.png"))]


def main() -> None:
    """Write the page of the working tree, or of the revisions on the command line."""
    TEMPLATE.parent.mkdir(exist_ok=True)
    TEMPLATE.write_text(template(), encoding="utf-8")
    revisions = sys.argv[1:]
    command = ["dvc", "plots", "diff" if revisions else "show", "-q", "--html-template", str(TEMPLATE), "-o", str(OUT)]
    command += ["--targets", *names(), "--", *revisions] if revisions else names()
    subprocess.run(command, cwd=ROOT, check=True)
    print(f"Open {OUT.relative_to(ROOT)}/index.html.")


if __name__ == "__main__":
    main()
