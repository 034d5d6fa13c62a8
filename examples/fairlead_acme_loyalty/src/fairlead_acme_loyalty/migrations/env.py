from __future__ import annotations

from fairlead.storage import migration_env

migration_env.run()
