# The same words as dev.py, for those who have make: `make test ARGS="-k journeys"`.
PYTHON ?= python3
WORDS := demo serve worker test check bench schema docs

.DEFAULT_GOAL := help
.PHONY: help $(WORDS)

help:
	@$(PYTHON) dev.py help

$(WORDS):
	@$(PYTHON) dev.py $@ $(ARGS)
