"""Attribution: models, runs and credits."""
