"""Change the rows of a table in batches by a key, each together with the place up to which they are done.

    keys    which rows a batch has: the next ones behind the cursor, and how the engine is told
    cursor  our own table in the same database: how far it got
    pace    how many rows the next batch has, and how long to rest before it (pure)
    progress  how far it is, and about how long it still takes (pure)
    ahead   several batches under way at once, committed in their order
    ranges  a program in the place of SQL: a range at least once
    refusals  what it means that the engine refused: again, or the next step (pure)
    work    the loop: look, change, rest; again after whatever ended it
    verdicts  what the rehearsals make of it for the release (pure)
    order   which migration a backfill waits for, and which one waits for it (pure)

The cursor moves in the transaction of the batch, and only from where the batch was chosen. So a kill at any
instant leaves a batch either done with its cursor or not done at all, and of two coordinators one is refused.
A program of the user's commits by itself: its cursor moves after it, and it may get its last range again.
"""
