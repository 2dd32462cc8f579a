"""The pages of documentation against the code: flags, links, and what the commands that are not run here say."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs.__main__ import COMMANDS, find
from beam_jobs.io.schemas import RECOMMENDATIONS
from docs.generate_flags import PAGE, page, parser_of
from tests.markdown import PAGES, README, SNIPPET_PAGES, TOP, all_blocks, anchors, blocks, links

LANGUAGES = {"sh", "python", "sql", "text"}
SCRIPT = (TOP / "run_local.sh").read_text(encoding="utf-8")
FLAGS = PAGE.read_text(encoding="utf-8")

BIGQUERY_TYPES = {pa.string(): "STRING", pa.int32(): "INTEGER", pa.float32(): "FLOAT"}


def flags_of(command: str) -> set[str]:
    actions = parser_of(find(command).module)._actions
    return {flag for action in actions for flag in action.option_strings if flag.startswith("--")} - {"--help"}


def section(command: str) -> str:
    return re.search(rf"^## nightrank {command}\n(.*?)(?=^## |\Z)", FLAGS, re.MULTILINE | re.DOTALL)[1]


def test_the_page_of_flags_is_what_the_parsers_say() -> None:
    assert page() == FLAGS, "run: python -m docs.generate_flags"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_is_documented_with_its_command(command: str) -> None:
    flags = flags_of(command)
    assert flags
    missing = {flag for flag in flags if f"`{flag}`" not in section(command)}
    assert not missing


def test_every_flag_of_the_script_is_documented() -> None:
    flags = set(re.findall(r"^  (--\w+)", SCRIPT, re.MULTILINE))
    assert flags
    assert {flag for flag in flags if f"\n  {flag} " not in FLAGS} == set()


def test_every_documented_flag_exists() -> None:
    known = set.union(*map(flags_of, COMMANDS)) | set(re.findall(r"^  (--\w+)", SCRIPT, re.MULTILINE)) | beam_flags()
    # Of other programs: pytest, docker, uv, Git.
    others = {"--peers", "--quick", "--json", "--help", "--repeats", "--target", "--replace", "--schema_update_option"}
    for path in SNIPPET_PAGES:
        documented = set(re.findall(r"`(--[\w-]+)", path.read_text(encoding="utf-8")))
        assert documented <= known | others | {"--hive_partitioning_mode"}, path


def test_defaults_in_the_page_of_flags_are_those_of_the_parser() -> None:
    train = {action.dest: action.default for action in parser_of("model.train")._actions}
    rows = dict(re.findall(r"^\| `--(\w+)` \| `?([^`|]*?)`? \|", section("train"), re.MULTILINE))
    checked = {name: rows[name] for name in ("dataset", "last_n", "seed", "model_dir", "model")}
    assert checked == {name: str(train[name]) for name in checked}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(TOP)))
def test_links_lead_somewhere(path: Path) -> None:
    for link in links(path):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        assert file.exists(), f"{path.name} links to {link}"
        assert not anchor or anchor in anchors(file), f"{path.name} links to {link}"


def test_every_page_is_in_the_index() -> None:
    index = TOP / "docs" / "README.md"
    assert {path.name for path in (TOP / "docs").glob("*.md")} - {"README.md"} <= set(links(index))


def test_every_block_has_a_language_that_a_test_knows() -> None:
    unknown = [(block.page, block.first_line) for path in SNIPPET_PAGES for block in blocks(path)]
    unknown = [named for named in unknown if named not in {(b.page, b.first_line) for b in all_blocks(*LANGUAGES)}]
    assert unknown == []


def beam_flags() -> set[str]:
    """Of all options that Beam has."""
    known: set[str] = set()
    PipelineOptions([]).get_all_options(add_extra_args_fn=lambda parser: known.update(parser._option_string_actions))
    return known


def our_commands() -> list[str]:
    """Every command of ours on any page, run or not."""
    commands = [command for block in all_blocks("sh") for command in block.commands]
    # What is said in a table or in the text counts too.
    for path in SNIPPET_PAGES:
        said = re.findall(r"`((?:nightrank|\./run_\w+\.sh)(?: [^`]*)?)`", path.read_text(encoding="utf-8"))
        commands += [command for command in said if "..." not in command]
    return commands


def test_the_commands_on_the_pages_have_flags_that_exist() -> None:
    beams, script = beam_flags(), set(re.findall(r"^  (--\w+)", SCRIPT, re.MULTILINE))
    checked = 0
    for command in our_commands():
        words = shlex.split(command.removesuffix("&"), comments=True)
        program, flags = words[0], {word.partition("=")[0] for word in words if re.match(r"--\w", word)}
        if program == "nightrank" and len(words) > 1 and words[1] not in ("COMMAND", "--help"):
            known = flags_of(words[1]) | beams
        elif program == "./run_dataflow.sh":
            known = flags_of("dataflow") | flags_of("score") | beams
        elif program == "./run_local.sh" and words[1:2] not in (["test"], ["bench"], ["set_up"]):
            known = script | flags_of("train") | flags_of("prepare") | flags_of("score") | beams | {"--help"}
        else:
            continue
        checked += 1
        assert flags <= known, command
    assert checked > 20


def test_required_flags_are_there() -> None:
    """In the commands of blocks, which are to be copied; in a sentence a command may be named alone."""
    checked = 0
    for command in (command for block in all_blocks("sh") for command in block.commands):
        words = shlex.split(command.removesuffix("&"), comments=True)
        name = {"nightrank": words[1] if len(words) > 1 else "", "./run_dataflow.sh": "dataflow"}.get(words[0])
        if not name:
            continue
        checked += 1
        for action in parser_of(find(name).module)._actions:
            if action.required and action.option_strings:
                assert set(action.option_strings) & set(words), f"{command}: {action.option_strings}"
    assert checked > 10


def test_the_scheduled_request_gives_the_template_what_it_takes() -> None:
    [command] = [command for command in our_commands() if command.startswith("gcloud scheduler")]
    words = shlex.split(command)
    launch = json.loads(words[words.index("--message-body") + 1])["launchParameter"]
    template = json.loads((TOP / "beam_jobs" / "dataflow" / "score_template.json").read_text(encoding="utf-8"))
    taken = {parameter["name"]: parameter for parameter in template["parameters"]}
    given = launch["parameters"]
    assert given.keys() <= taken.keys()
    assert {name for name, parameter in taken.items() if not parameter.get("isOptional")} <= given.keys()
    assert all(re.fullmatch(pattern, given[name]) for name in given for pattern in taken[name].get("regexes", []))


def test_the_template_that_is_built_is_the_one_that_is_launched() -> None:
    page = TOP / "docs" / "dataflow.md"
    specifications = set(re.findall(r"gs://[\w/-]+\.json", page.read_text(encoding="utf-8")))
    assert len(specifications) == 1
    [build] = [command for command in our_commands() if command.startswith("gcloud dataflow flex-template build")]
    words = shlex.split(build)
    assert (TOP / words[words.index("--metadata-file") + 1]).is_file()


def test_images_are_built_from_stages_that_are_there() -> None:
    stages = re.findall(r"^FROM \S+ AS (\S+)$", (TOP / "beam_jobs/dataflow/Dockerfile").read_text(), re.MULTILINE)
    builds = [shlex.split(command) for command in our_commands() if command.startswith("docker build")]
    assert builds
    for words in builds:
        assert (TOP / words[words.index("-f") + 1]).is_file()
        assert words[words.index("--target") + 1] in stages


def test_bigquery_replaces_the_partition_of_the_folder_that_it_loads() -> None:
    loads = [shlex.split(command) for command in our_commands() if command.startswith("bq load")]
    assert len(loads) == 2
    for words in loads:
        *flags, table, source = words
        assert "--replace" in flags
        assert "--source_format=PARQUET" in flags
        prefix = next(flag.partition("=")[2] for flag in flags if flag.startswith("--hive_partitioning_source_uri"))
        day = re.fullmatch(rf"{re.escape(prefix)}/run_date=(\d{{4}}-\d\d-\d\d)/\*\.parquet", source)[1]
        assert table == f"DATASET.recommendations${day.replace('-', '')}"


def test_the_table_in_bigquery_has_our_columns_and_the_partition() -> None:
    [command] = [command for command in our_commands() if command.startswith("bq mk")]
    *flags, _, schema = shlex.split(command)
    ours = [f"{field.name}:{BIGQUERY_TYPES[field.type]}" for field in RECOMMENDATIONS]
    assert schema.split(",") == [*ours, "run_date:DATE"]
    assert "--time_partitioning_field=run_date" in flags


def test_the_tables_on_the_pages_have_our_columns() -> None:
    for path in (README, TOP / "docs" / "tables.md"):
        rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", path.read_text(encoding="utf-8"), re.MULTILINE)
        names = [name for name, _ in rows]
        start = names.index("rank") - 1
        documented = dict(rows[start : start + len(RECOMMENDATIONS)])
        types = {field.name: {"float": "float32"}.get(str(field.type), str(field.type)) for field in RECOMMENDATIONS}
        assert documented == types


def test_messages_in_the_runbook_are_said_by_the_code() -> None:
    code = " ".join(
        path.read_text(encoding="utf-8") for top in ("beam_jobs", "model") for path in (TOP / top).rglob("*.py")
    )
    code = re.sub(r'"\s*\n\s*f?"', "", code + SCRIPT)
    said = re.findall(r"^\| `([^`]+)`(?: or `([^`]+)`)? \|", (TOP / "docs/runbook.md").read_text(), re.MULTILINE)
    messages = [message for pair in said for message in pair if message]
    assert len(messages) > 15
    for message in messages:
        pieces = [piece.strip(" ;:'()") for piece in message.split("...")]
        for piece in filter(None, pieces):
            assert _known(piece) in code, message


def _known(piece: str) -> str:
    """A piece of a message as the code has it, where a constant stands for a name."""
    return re.split(r"model\.json|'user_vector'", piece)[0].strip(" '")
