"""The graph of a workspace shows every resource and every possible connection, as data and as a flowchart."""

import re

import pytest

from infra.reach import graph
from infra.reach.workspace_graph import WorkspaceGraph
from infra.resources.resource import Resource
from infra.resources.types import LOCAL_AUTHORITY, LOCAL_CVM
from tests.infra import declarations

AUTHORITY = Resource(LOCAL_AUTHORITY, "authority", {})
TRAINER = Resource(LOCAL_CVM, "trainer", {"port": 6110}, dependencies=(AUTHORITY.key,))
SCORER = Resource(LOCAL_CVM, "scorer", {"port": 6111}, dependencies=(AUTHORITY.key, TRAINER.key))

LOCAL = """\
%% Solid arrows: who can open a connection to what. Dotted arrows: what uses what.
flowchart LR
  subgraph workspace["workspace lab, local"]
    r0["Authority<br/>authority"]
    r1["Cvm<br/>trainer<br/>not confidential<br/>2 vCPUs<br/>4 GiB"]:::cvm
    r2["Cvm<br/>scorer"]:::cvm
  end
  o0(["this machine"])
  subgraph nothing["reach nothing here"]
    n0(["the internet"])
    n1(["other workspaces"])
  end
  o0 -->|"tcp/6111"| r2
  o0 -->|"tcp/6110"| r1
  r1 -.-> r0
  r2 -.-> r0
  classDef cvm stroke-width:3px"""

_NODE = re.compile(r'(\w+)(?:\["|\(\[")')
_ARROW = re.compile(r"  (\w+) (?:-->\|\"[^\"|]+\"\||-\.->) (\w+)$")


def cloud(name: str) -> WorkspaceGraph:
    backend = name.partition("-")[0]
    resources = tuple(declarations.resources(name))
    return WorkspaceGraph("lab", backend, resources, graph.build(backend, resources), {"trainer": "tdx, large"})


def local(*resources: Resource, details: str = "not confidential, 2 vCPUs, 4 GiB") -> WorkspaceGraph:
    return WorkspaceGraph("lab", "local", resources, graph.build("local", resources), {"trainer": details})


def test_a_local_workspace():
    assert "\n".join(local(AUTHORITY, TRAINER, SCORER).mermaid()) == LOCAL


@pytest.mark.parametrize("name", declarations.CLOUDS)
def test_every_resource_and_every_connection_of_a_cloud_is_drawn(name: str):
    made = cloud(name)
    lines = list(made.mermaid())
    nodes = [found[1] for line in lines if (found := _NODE.match(line.strip()))]
    assert len(nodes) == len(set(nodes))
    arrows = [found.groups() for line in lines if (found := _ARROW.match(line))]
    assert {end for arrow in arrows for end in arrow} <= set(nodes)
    assert len([line for line in lines if "-->" in line]) == len(made.reach.edges)
    for one in made.resources:
        assert any(
            f"{one.type.rpartition(':')[2]}<br/>{one.name}" in line for line in lines
        ) is not one.type.startswith(("pulumi:", "cloister:"))
    drawn = {end for line in lines if (found := _ARROW.match(line)) for end in found.groups()}
    idle = [line for line in lines if re.match(r" +n\d+\(", line)]
    assert len(idle) == len(
        [name for name in made.reach.outside if all(name != edge.source for edge in made.reach.edges)]
    )
    assert not any(node.startswith("n") for node in drawn)
    assert any("trainer<br/>tdx<br/>large" in line and line.endswith(":::cvm") for line in lines)


@pytest.mark.parametrize("name", declarations.CLOUDS)
def test_data_has_every_dependency(name: str):
    made = cloud(name)
    value = made.value()
    shown = {(one["type"], one["name"]) for one in value["resources"]}
    wanted = {(one.key, key) for one in made.resources for key in one.dependencies if {one.key, key} <= shown}
    assert {((one["type"], one["name"]), tuple(key)) for one in value["resources"] for key in one["uses"]} == wanted
    assert value["edges"] == made.reach.value()["edges"]


def test_text_of_others_cannot_end_a_label():
    lines = list(local(AUTHORITY, TRAINER, details='a"] <b> & #x;').mermaid())
    assert '    r1["Cvm<br/>trainer<br/>a#quot;] #lt;b#gt; #amp; #35;x;"]:::cvm' in lines
