"""What changed in the catalogue, with judgement: from one poll to the next most differences are no news.

OpenRouter's edges serve copies that are over an hour old, so that two versions alternate between polls; ids vanish
together and return the same night; last digits jitter; a paid model is at zero for one poll. Each kind of event
therefore has a rule, and each model a `Belief`: what was last told of it, and what is seen but not believed yet.
The guard knows nothing of this: it judges by the newest catalogue alone, at once and strictly.

| kind | is told | is no news |
|---|---|---|
| `model_no_longer_free` | at once, for it is about money | a second time, until free again is told |
| `model_free_again` | after 65 min free | while free and paid alternate |
| `model_repriced` | after 2 h at the new price; 65 min if that is zero | A-B-A; under 1 % from what was told last |
| `model_context_changed` | after 65 min with the new length | A-B-A; under 1 %; one where none was listed |
| `model_added` | at a second sight, 5 min after the first or more | a single sight in 24 h |
| `model_missing` | after 9 min of absence: of a free or watched model, | within 65 min of its first sight |
|                 | or of whichever, when five or more vanish together | |
| `model_removed` | after 24 h of absence | ids that are away for a night |
| `model_returned` | after 65 min, if its absence was told | if it was not |
| `model_expiring` | 14 days, 3 days and 1 day ahead, of a date that | after the date; twice for one date |
|                  | was listed for 65 min, or from the beginning | and distance |
| `alias_moved` | after 65 min with the new target | A-B-A; a target where none was listed |

*After 65 min* means: seen so at every poll for that long, so at two at least. One poll that says otherwise, and a clock
that is set back, make the wait begin again. How often one polls decides how much later than its time an event comes.

Five or more changes of one kind at one poll are one event, of the kind's plural (`models_removed`), whose note lists
ten of the ids, free and watched ones first. The first catalogue of a source is no news.

Why these times. *65 minutes* is the oldest copy that an edge may serve by its own headers (`max-age=300,
stale-while-revalidate=3600`): what was seen without a break for longer is not a stale copy. *9 minutes* is the second
poll at the default interval of ten, less its jitter. *24 hours* is more than the 16 to 19 for which ids were seen to
vanish. *5 minutes* is enough for a new id: a stale copy shows the past, and cannot hold what was never there. *1 %* is
less than one unit in the last of three digits, and more than what rounding to two digits was seen to do.
"""

from monitor.policy.changes.belief import Belief, Presence, first_belief, from_text, to_text
from monitor.policy.changes.grouping import GROUP, IDS_LISTED, Kind, grouped, models_told, plural
from monitor.policy.changes.judging import Judgement, judge
from monitor.policy.changes.prices import price_text

__all__ = [
    "GROUP",
    "IDS_LISTED",
    "Belief",
    "Judgement",
    "Kind",
    "Presence",
    "first_belief",
    "from_text",
    "grouped",
    "judge",
    "models_told",
    "plural",
    "price_text",
    "to_text",
]
