"""Why a measurement differs: the first event or page that does, and the likely cause. Nothing here judges a machine."""
