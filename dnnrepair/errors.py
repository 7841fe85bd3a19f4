"""Everything that stops a run; each message says what, where and what to do next."""


class DnnRepairError(Exception):
    """The run could not be carried out (exit code 2)."""


class NothingToFixError(DnnRepairError):
    """There is no error of the kind that was to be fixed; no failure of anything (exit code 0)."""


class UnknownNameError(DnnRepairError, KeyError):
    """A registry has no entry of that name."""

    def __str__(self) -> str:
        """Return the message without KeyError's quotes."""
        return str(self.args[0])


class ModelError(DnnRepairError):
    """A model file or factory cannot be used."""


class UntrustedError(ModelError):
    """A model file would run code when loaded."""


class DataError(DnnRepairError):
    """The data cannot be used with this model."""


class TooLittleDataError(DataError):
    """There are too few samples to judge by; no failure of anything (exit code 3)."""


class PatchError(DnnRepairError):
    """A patch cannot be made, read or applied."""


class SettingError(DnnRepairError):
    """An option or configuration key is wrong."""


class NoChangeError(DnnRepairError):
    """A method has shown that no change does what it was asked for; no failure of the run."""
