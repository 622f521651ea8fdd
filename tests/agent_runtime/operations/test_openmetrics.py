"""The text of metrics is OpenMetrics: every line has the form of the grammar, and the end is marked."""

import re

from agent_runtime.operations.openmetrics import MetricFamily, MetricType, encode

# OpenMetrics 1.0, section "ABNF".
_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[n"\\])*"'
GRAMMAR = re.compile(
    rf"# TYPE {_NAME} (?:counter|gauge|summary)|# UNIT {_NAME} [a-z]+|# HELP {_NAME} (?:[^\"\\\n]|\\[n\"\\])*"
    rf"|{_NAME}(?:\{{{_LABEL}(?:,{_LABEL})*\}})? -?[0-9]+(?:\.[0-9]+)?(?:e[+-][0-9]+)?"
)


def assert_openmetrics(text: str) -> None:
    """Every line has a form of the grammar, and the rules beside the grammar hold."""
    *lines, end = text.split("\n")[:-1]
    assert (end, text[-1]) == ("# EOF", "\n")
    assert [line for line in lines if not GRAMMAR.fullmatch(line)] == []
    families = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(set(families)) == len(families)
    for line in lines:
        if line.startswith("# UNIT"):
            _, _, name, unit = line.split()
            assert name.endswith(f"_{unit}")


def test_families_of_each_type() -> None:
    made = [
        MetricFamily("a", MetricType.COUNTER, "A", {(("x", "1"), ("y", "2")): (3,), (("x", "0"), ("y", "2")): (4.5,)}),
        MetricFamily("b_bytes", MetricType.GAUGE, "B", {(): (1 << 40,)}, "bytes"),
        MetricFamily("c_seconds", MetricType.SUMMARY, "C", {(): (2, 0.25)}, "seconds"),
        MetricFamily("d", MetricType.COUNTER, "no samples yet", {}),
    ]
    text = encode(made)
    assert_openmetrics(text)
    assert text.splitlines() == [
        *("# TYPE a counter", "# HELP a A", 'a_total{x="0",y="2"} 4.5', 'a_total{x="1",y="2"} 3'),
        *("# TYPE b_bytes gauge", "# UNIT b_bytes bytes", "# HELP b_bytes B", "b_bytes 1099511627776"),
        *("# TYPE c_seconds summary", "# UNIT c_seconds seconds", "# HELP c_seconds C"),
        *("c_seconds_count 2", "c_seconds_sum 0.25", "# TYPE d counter", "# HELP d no samples yet", "# EOF"),
    ]


def test_text_is_escaped() -> None:
    text = encode([MetricFamily("a", MetricType.GAUGE, 'q " b \\ n \n', {(("x", 'q " b \\ n \n'),): (0,)})])
    assert_openmetrics(text)
    assert text.count('q \\" b \\\\ n \\n') == 2
