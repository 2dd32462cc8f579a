"""The README is short, shows what matters in the order that a stranger asks for it, and its pictures are there."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

from tests.markdown import README, SNIPPET_PAGES, blocks, links

TEXT = README.read_text(encoding="utf-8")
SVG = "{http://www.w3.org/2000/svg}"

SECTIONS = ["Two commands", "Your own data", "The table", "Quality", "Dataflow", "Guarantees", "Limits", "Citation"]


def part(section: str) -> str:
    return re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)[1]


def test_it_has_at_most_200_lines() -> None:
    assert len(TEXT.splitlines()) <= 200


def test_its_sections_come_in_the_order_of_a_strangers_questions() -> None:
    assert re.findall(r"^## (.*)$", TEXT, re.MULTILINE) == SECTIONS


def test_the_command_for_the_tests_stands_alone() -> None:
    assert "./run_local.sh test" in TEXT.splitlines()


def test_the_main_command_is_shown_with_what_it_prints() -> None:
    [main] = [block for block in blocks(README) if block.text.strip() == "./run_local.sh"]
    assert main.output
    assert "recommended" in main.output
    assert re.search(r"\d s\b", main.output)


def test_the_table_is_read_in_three_ways() -> None:
    languages = [block.language for block in blocks(README) if block.text in part("The table")]
    assert languages == ["python", "sql", "sh"]


def test_quality_is_five_rows() -> None:
    assert len(re.findall(r"^\| `", part("Quality"), re.MULTILINE)) == 5


def test_the_article_and_movielens_are_cited() -> None:
    citation = " ".join(part("Citation").split())
    assert "Nick Ball, *End-to-End Recommender System with Gradient*" in citation
    assert "F. Maxwell Harper and Joseph A. Konstan, *The MovieLens Datasets: History and Context*" in citation


def test_the_pictures_are_there() -> None:
    pictures = [
        page.parent / link for page in SNIPPET_PAGES for link in links(page) if link.endswith((".png", ".svg", ".jpg"))
    ]
    assert {picture.suffix for picture in pictures} == {".png", ".svg"}
    for picture in pictures:
        if picture.suffix == ".png":
            assert picture.read_bytes().startswith(b"\x89PNG")
        else:
            drawing = ElementTree.parse(picture).getroot()
            assert drawing.tag == f"{SVG}svg"
            assert drawing.findtext(f"{SVG}title")


def test_the_flow_in_the_picture_is_that_of_the_commands() -> None:
    drawing = ElementTree.parse(README.parent / ".readme" / "flow.svg").getroot()
    names = {text.text for text in drawing.iter(f"{SVG}text") if text.get("class") == "name"}
    assert {"train", "prepare", "score", "audit", "publish"} < names
