"""Checks of the installation that a plugin in a host provides."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from tocsin.core.contracts.context import Context
from tocsin.core.contracts.doctor import DoctorCheck, Finding, Installation
from tocsin.core.hosts import methods
from tocsin.core.hosts.host import Host
from tocsin.core.hosts.methods import Examining
from tocsin.core.hosts.remote import RemoteOptions


@frozen
class _Examination:
    """Runs one check in its host."""

    host: Host
    plugin: str
    number: int
    name: str

    async def run(self, context: Context, installation: Installation) -> Sequence[Finding]:
        """Return what the check found."""
        peer = await self.host.connect()
        number, contexts = next(self.host.numbers), self.host.calls.contexts
        remotes = (
            (name, getattr(part, "tocsin_remote", None)) for name, part in installation.parts
        )
        examining = Examining(
            plugin=self.plugin,
            check=self.number,
            number=number,
            name=self.name,
            data_dir=str(installation.data_dir),
            configuration=installation.configuration,
            parts=tuple(
                (name, remote.options)
                for name, remote in remotes
                if isinstance(remote, RemoteOptions)
            ),
        )
        contexts[number] = context
        try:
            return await peer.ask(methods.EXAMINE, (examining,))
        finally:
            contexts.pop(number, None)


def doctor_check_of(name: str, number: int, plugin: str, host: Host) -> DoctorCheck:
    """Return the check that stands for one of a plugin.

    Args:
        name: its name.
        number: its position among those of the plugin.
        plugin: name of the plugin.
        host: the plugin's host.
    """
    return DoctorCheck(name=name, handler=_Examination(host, plugin, number, name).run)
