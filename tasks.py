"""All verbs of a checkout under one roof: a party's, the image's and the platform team's."""

import sys

from cloister.errors import INTERRUPTED

try:
    from benchmarks import tasks as benchmarks
    from cloister import cli
    from examples import tasks as examples
    from image import tasks as image
    from infra import tasks as infra
    from tools import tasks as tools
except KeyboardInterrupt:
    # A verb that has begun says more; before one has, Invoke would end with status 1 and no word.
    print("\nInterrupted.", file=sys.stderr)
    sys.exit(INTERRUPTED)

namespace = cli.collection()
namespace.add_task(examples.demo)
namespace.add_task(benchmarks.bench)
namespace.add_task(tools.fuzz)
namespace.add_collection(tools.namespace)
namespace.add_collection(image.namespace)
for task in infra.namespace.tasks.values():
    namespace.add_task(task)
for collection in infra.namespace.collections.values():
    namespace.add_collection(collection)
