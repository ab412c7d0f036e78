"""The structure on a pipeline's page."""

import re
import xml.etree.ElementTree as ET

import httpx

from engine.flow.deploy import deploy_files
from engine.runtime import Runtime
from tests.integration.web.seed import SCRIPT

NAMED = f"""\
id: named
steps:
  - id: first
    name: "{SCRIPT}"
    if: "'{SCRIPT}' != ''"
    uses: value
    with: {{}}
"""


def picture(page: str) -> ET.Element:
    found = re.search(r"<svg .*?</svg>", page, re.DOTALL)
    assert found is not None
    return ET.fromstring(found[0])


async def test_a_pipeline_is_drawn(browser: httpx.AsyncClient) -> None:
    """Its steps are links to their lines, which are on the page; the policy of styles is kept."""
    page = (await browser.get("/pipelines/greet")).text
    drawn = picture(page)
    links = [node.attrib["href"] for node in drawn.iter() if "href" in node.attrib]
    assert links == ["#L14"]
    assert 'id="L14"' in page
    assert not [node for node in drawn.iter() if node.tag.endswith("style") or "style" in node.attrib]


async def test_names_in_the_picture_are_text(browser: httpx.AsyncClient, runtime: Runtime) -> None:
    """A name that is markup is shown as it is."""
    (runtime.settings.pipelines / "named.yaml").write_text(NAMED)
    await deploy_files(runtime)
    page = (await browser.get("/pipelines/named")).text
    assert SCRIPT not in page
    assert SCRIPT in "".join(picture(page).itertext())
