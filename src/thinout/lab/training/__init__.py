"""Training: one plain loop on Hugging Face Accelerate, its seeds, its checkpoints, and the run of a study."""

from thinout import lab
from thinout.lab.training._checkpoint import CheckpointError as CheckpointError
from thinout.lab.training._evaluate import evaluating as evaluating
from thinout.lab.training._evaluate import predict as predict
from thinout.lab.training._loop import FitResult as FitResult
from thinout.lab.training._loop import fit as fit
from thinout.lab.training._provenance import now as now
from thinout.lab.training._provenance import provenance as provenance_of
from thinout.lab.training._run import build_model as build_model
from thinout.lab.training._run import error_text as error_text
from thinout.lab.training._run import estimate_seconds as estimate_seconds
from thinout.lab.training._run import failed_row as failed_row
from thinout.lab.training._run import is_main_process as is_main_process
from thinout.lab.training._run import train_run as train_run
from thinout.lab.training._seeds import RunSeeds as RunSeeds
from thinout.lab.training._seeds import seeded as seeded
from thinout.lab.training._seeds import split_seed as split_seed
from thinout.lab.training._trackers import CsvTracker as CsvTracker
from thinout.lab.training._trackers import Tracker as Tracker
from thinout.lab.training._trackers import make_tracker as make_tracker
from thinout.lab.training._trainer import Progress as Progress
from thinout.lab.training._trainer import TrainingError as TrainingError

__all__ = [
    "CheckpointError",
    "CsvTracker",
    "FitResult",
    "Progress",
    "RunSeeds",
    "Tracker",
    "TrainingError",
    "build_model",
    "error_text",
    "estimate_seconds",
    "evaluating",
    "failed_row",
    "fit",
    "is_main_process",
    "make_tracker",
    "now",
    "predict",
    "provenance_of",
    "seeded",
    "split_seed",
    "train_run",
]

lab.need("accelerate")  # imported late: without it every run would fail, and give that as its reason
