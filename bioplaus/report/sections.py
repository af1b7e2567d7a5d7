"""The sections of the page: each (run, svgs) -> HTML, '' where there is nothing to show. Everything that is shown is escaped."""

import json
import math
from html import escape as e

from bioplaus.report.headline import ATTACKS, Headline, baseline_of, cautions, clean, energy_ranks, headlines, kept, kinds
from bioplaus.report.look import looks
from bioplaus.report.run import BASELINE, Arm, Interval, Run, interval, number, seeds_of
from bioplaus.report.text import NONE, joules, percent, si, spread
