#!/bin/sh
# pandas 3.1.1 loses rows of a SAS transport file (XPORT, .xpt, the form in which clinical trials are submitted) without
# a warning: it takes each eight blank bytes in the file's last 80 for padding, even between other values, and subtracts
# real rows for them. Of five patients of whom one had an event, it reads three. It invents rows as well: of three rows
# of three bytes it reads five, since it recognises padding only where it fills eight bytes at a multiple of eight.
# pyreadstat 1.3.7, which writes both files here, reads all rows.
#
# Seen on 2026-11-30: pandas: 3 of 5, 5 of 3; pyreadstat: 5 of 5, 3 of 3
# The format stores no number of rows and fills the last 80 bytes with blanks:
# https://support.sas.com/techsup/technote/ts140.pdf
# pandas documents no such limit: https://pandas.pydata.org/docs/reference/api/pandas.read_sas.html
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pandas==3.1.1 pyreadstat==1.3.7

cd "$work"
found=$(venv/bin/python -W error - <<'PYTHON'
import pandas
import pyreadstat

tables = (
    pandas.DataFrame({"PATIENT": [1.0, 2.0, 3.0, 4.0, 5.0], "EVENT": ["headache", "", "", "", ""]}),
    pandas.DataFrame({"SEX": ["F", "M", "F"], "ARM": ["A1", "B1", "A2"]}),
)
seen = {"pandas": [], "pyreadstat": []}
for table in tables:
    pyreadstat.write_xport(table, "table.xpt", file_format_version=5)
    readers = {
        "pandas": pandas.read_sas("table.xpt", format="xport", encoding="infer"),
        "pyreadstat": pyreadstat.read_xport("table.xpt")[0],
    }
    for name, rows in readers.items():
        seen[name].append(f"{len(rows)} of {len(table)}")
print("; ".join(f"{name}: {', '.join(counts)}" for name, counts in seen.items()))
PYTHON
)
echo "$found"
test "$found" = "pandas: 3 of 5, 5 of 3; pyreadstat: 5 of 5, 3 of 3" ||
    { echo "The readers now say: $found" >&2; exit 1; }
