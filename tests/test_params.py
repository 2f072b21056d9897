"""Strict parameters: a misspelt key or an impossible value stops before any work and names the nearest valid key."""

import pytest
import yaml
from pydantic import Field, field_validator

from etholoop.errors import EthoLoopError, FaultsError
from etholoop.params import Section, load, parse_yaml, read_yaml


class Inner(Section):
    gap_s: float = Field(1.0, ge=0)


class Example(Section):
    threshold: float = Field(0.5, ge=0, le=1)
    inner: Inner = Inner()


def write(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return path


def test_a_section_left_out_means_defaults(tmp_path):
    assert load(write(tmp_path, ""), "example", Example).threshold == 0.5


def test_a_misspelt_key_names_the_nearest(tmp_path):
    path = write(tmp_path, "example: {treshold: 0.3}")
    with pytest.raises(FaultsError, match=r"example\.treshold: unknown key; did you mean 'threshold'\?"):
        load(path, "example", Example)


def test_a_misspelt_key_of_a_nested_section_names_the_nearest(tmp_path):
    with pytest.raises(FaultsError, match=r"example\.inner\.gap: unknown key; did you mean 'gap_s'\?"):
        load(write(tmp_path, "example: {inner: {gap: 2}}"), "example", Example)


def test_all_faults_are_reported_together(tmp_path):
    with pytest.raises(FaultsError) as caught:
        load(write(tmp_path, "example: {threshold: 3, inner: {gap_s: -1}}"), "example", Example)
    assert len(caught.value.faults) == 2
    assert "got 3" in str(caught.value)


def test_our_own_words_are_shown_without_the_whole_section(tmp_path):
    class Checked(Section):
        name: str = "uniform"

        @field_validator("name")
        @classmethod
        def _known(cls, name):
            raise ValueError(f"unknown '{name}'")

    with pytest.raises(FaultsError) as caught:
        load(write(tmp_path, "example: {name: unifrom}"), "example", Checked)
    assert caught.value.faults == ["example.name: unknown 'unifrom'"]


@pytest.mark.parametrize("text", ["example: 3", "example: []", "example: {inner: 3}"])
def test_a_value_in_place_of_a_section_is_said(tmp_path, text):
    with pytest.raises(FaultsError, match="expected keys with values, found"):
        load(write(tmp_path, text), "example", Example)


def test_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(EthoLoopError, match="etholoop init"):
        load(tmp_path / "params.yaml", "example", Example)


@pytest.mark.parametrize("text", ["example: [1", "- a\n- b\n"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text):
    with pytest.raises(EthoLoopError):
        load(write(tmp_path, text), "example", Example)


def test_parameters_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Example().threshold = 0.1  # type: ignore[misc]


def test_a_fault_in_a_file_is_shown_with_its_line(tmp_path):
    (tmp_path / "params.yaml").write_text("cycle: {id: c001}\ntrack: [1, 2\nselect: {}\n")
    with pytest.raises(EthoLoopError, match=r"(?s)not readable as YAML.*select: \{\}"):
        read_yaml(tmp_path / "params.yaml")


def test_the_quick_reader_reads_what_the_plain_one_reads():
    text = "a: {b: [1, 2.5, 1e-3, yes, null, '2']}\nc: |\n  two\n  lines\nd: 2024-01-01\n"
    assert parse_yaml(text) == yaml.safe_load(text)
    assert parse_yaml("") is None
