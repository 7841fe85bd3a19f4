"""Which rules are applied, and with which limits."""

from __future__ import annotations

import pytest

from dnnrepair.errors import SettingError, UnknownNameError
from dnnrepair.finding import rules
from dnnrepair.selection import choose_rules, codes_of, differing, find_rule, parse_setting


def codes(*select: str, ignore: tuple[str, ...] = ()) -> list[str]:
    return [rule.code for rule in choose_rules(select, ignore, {})]


def test_all_rules_apply_by_default() -> None:
    assert codes() == sorted(rules)


def test_families_codes_and_names_are_understood() -> None:
    family = [code for code in rules if code.startswith("ACT")]
    assert codes("ACT") == codes("act") == family
    assert codes("ACT001") == codes("dead-relu") == codes(" Dead-ReLU ") == ["ACT001"]
    assert codes("BN001", "ACT") == [*family, "BN001"]


def test_ignoring_outweighs_selecting() -> None:
    assert "ACT001" not in codes("ACT", ignore=("dead-relu",))
    assert codes("ACT", "BN001", ignore=("ACT",)) == ["BN001"]


def test_every_rule_has_a_name_of_its_own() -> None:
    assert len({rules[code].name for code in rules}) == len(list(rules))
    assert all(codes_of([rules[code].name]) == (code,) for code in rules)


@pytest.mark.parametrize("name", ["ACT01", "XYZ", "", "dead_relu"])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(UnknownNameError, match="no rule is called"):
        choose_rules([name], (), {})
    with pytest.raises(UnknownNameError, match="no rule is called"):
        choose_rules((), [name], {})
    with pytest.raises(UnknownNameError, match="no rule is called"):
        find_rule(name)


def test_nothing_to_apply_is_refused() -> None:
    with pytest.raises(SettingError, match="no rule is left"):
        choose_rules(["ACT"], ["ACT"], {})


def test_limits_reach_the_rule() -> None:
    chosen = choose_rules(["ACT"], (), {"dead-relu": {"warn_share": "0.75"}})
    assert differing(chosen) == ("ACT001.warn_share = 0.75",)


def test_limits_of_rules_that_do_not_apply_are_checked_too() -> None:
    with pytest.raises(SettingError, match="has no setting"):
        choose_rules(["BN"], (), {"ACT001": {"nonsense": 1}})


def test_a_setting_on_the_command_line() -> None:
    assert parse_setting("ACT001.warn_share = 0.6") == ("ACT001", "warn_share", "0.6")


@pytest.mark.parametrize(
    "text", ["", "ACT001", "ACT001=3", "ACT001.x", "ACT001.x=", ".x=1", "A.=1"]
)
def test_other_settings_are_refused(text: str) -> None:
    with pytest.raises(SettingError, match=r"CODE\.field=value"):
        parse_setting(text)
