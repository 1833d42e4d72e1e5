"""What tells a learner that an exercise is right, and what may have gone wrong: ``checks.eq1(mine)``.

A module for each notebook. Each check is called with a function or a value and returns a ``Verdict``, which a notebook
shows as a line or two.
"""
