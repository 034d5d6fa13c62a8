"""Write a plugin: one module, one entry point, ten lines.

In ``pyproject.toml``::

    [project.entry-points.fairlead]
    acme = "acme_fairlead"

In ``acme_fairlead.py``::

    from fairlead.plugins import Kind, Manifest, Title, hookimpl

    class Acme:
        manifest = Manifest(name="acme", kind=Kind.NOTIFIER, version="1.0",
                            title=Title("艾克米", "Acme"), description=Title("打印通知", "Prints notices"))
        def notify(self, context, notice):
            print(notice.title)

    @hookimpl
    def fairlead_register_notifiers(register):
        register(Acme())

``fairlead plugin check acme`` runs the contract kit over it.
"""

from __future__ import annotations

from fairlead.plugins.hookspecs import hookimpl, hookspec
from fairlead.plugins.manifest import ADDRESS, ANYWHERE, Capability, Kind, Manifest, NoSettings, Quality, Title

__all__ = [
    "ADDRESS",
    "ANYWHERE",
    "Capability",
    "Kind",
    "Manifest",
    "NoSettings",
    "Quality",
    "Title",
    "hookimpl",
    "hookspec",
]
