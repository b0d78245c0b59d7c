"""The doctor: looks at everything a call needs and says what is wrong, and what to do about it.

`findings` is what it says, `facts` what was seen; the `judge_*` modules make the one of the other without any I/O, the
`look_*` modules gather the facts, and `examination` runs them side by side and tells the findings in order of cause.
"""

from __future__ import annotations
