"""`Audience`: who will hold the released rows, and the largest attack risk that a policy for them may allow.

The thresholds borrow the numbers of rules on re-identification, where 0.09 is one in a cell of 11 (the European
Medicines Agency's guidance on policy 0070 and Health Canada's guidance on the public release of clinical information;
the cell of 11 is that of the US Centers for Medicare and Medicaid Services). They are not the same quantity: those
rules bound a chance of re-identification, these a share of attacks that succeed only because somebody was trained on.
0.05 and 0.15 are our own choice on either side of it.
"""

from enum import StrEnum


class Audience(StrEnum):
    """Who may get the rows: everybody; known people under terms; the organisation that has the source."""

    WORLD = "world"
    CONTROLLED = "controlled"
    INTERNAL = "internal"

    @property
    def threshold(self) -> float:
        """The largest excess of an attack that a rule for this audience may allow, in [0, 1]."""
        return {Audience.WORLD: 0.05, Audience.CONTROLLED: 0.09, Audience.INTERNAL: 0.15}[self]

    @property
    def source(self) -> str:
        """Where the threshold comes from, in a few words for a report."""
        if self is Audience.CONTROLLED:
            return "as EMA policy 0070 and Health Canada use it for re-identification"
        return "the gateway's own choice, beside the 0.09 of EMA policy 0070 and Health Canada"
