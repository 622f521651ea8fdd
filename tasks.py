"""All verbs of a checkout: those of parties, of the image and of the platform team."""

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
    # A running verb prints more; before one runs, Invoke would exit with status 1 and no message.
    print("\nInterrupted.", file=sys.stderr)
    sys.exit(INTERRUPTED)

namespace = cli.collection()
cli.try_.set_checkout(image.trial_root)
cli.doctor.set_checkout(infra.examine)
namespace.add_task(examples.demo)
namespace.add_task(examples.example)
namespace.add_task(benchmarks.bench)
namespace.add_task(tools.fuzz)
namespace.add_collection(tools.namespace)
namespace.add_collection(image.namespace)
for task in infra.namespace.tasks.values():
    namespace.add_task(task)
for collection in infra.namespace.collections.values():
    namespace.add_collection(collection)
