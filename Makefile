# Every target calls one small Python program, which works without make as well: python tools/course.py
# Options go into ARGS: make course ARGS="--only 03"
PYTHON ?= python3
ARGS ?=

.PHONY: course site test stress refresh workshop preflight bundle lint clean

course:  ## set everything up, run the notebooks, render them as pages: build/site/index.html
	$(PYTHON) tools/course.py $(ARGS)

site:  ## the same pages from the stored outputs, in seconds
	$(PYTHON) tools/website.py $(ARGS)

test:  ## all tests, the notebooks among them
	$(PYTHON) tools/test.py $(ARGS)

stress:  ## the slow proofs in full: 10,000 hostile inputs, bombs of 10 GB, a sweep that is killed; about 10 minutes
	$(PYTHON) tools/test.py --stress $(ARGS)

refresh:  ## for contributors: run notebooks and store their outputs in notebooks/
	$(PYTHON) tools/course.py --store $(ARGS)

workshop:  ## for teachers: the notebooks for students and for instructors, in build/workshop/
	$(PYTHON) tools/workshop.py $(ARGS)

preflight:  ## is this machine ready, and how many minutes did each notebook take: ARGS=--offline for a workshop
	$(PYTHON) tools/preflight.py $(ARGS)

bundle:  ## one zip for a workshop without a network, in build/
	$(PYTHON) tools/bundle.py $(ARGS)

lint:
	$(PYTHON) tools/environment.py ruff check . $(ARGS)

clean:  ## remove build/ and caches; trained runs and .venv stay
	$(PYTHON) tools/clean.py $(ARGS)
