# For a Makefile of your own (GNU make 4): `out/adapter.imported` stands for the model
# in the directory out/adapter, once it is checked, uploaded and imported.
#
#     PREFLIGHT_DEST = oss://my-bucket/models/{name}-{digest}/
#     include $(shell preflight mk)
#     release: out/adapter.imported
#
# The file holds the report of the run as JSON. It is made anew when a file of the
# directory is newer, added or removed; what is in the bucket is not sent again, and a
# run that was preempted goes on. What the report of a failed run says is kept in
# out/adapter.failed.json, and the target stays undone.
#
# Variables, also for single targets (`out/big.imported: PREFLIGHT_BASE = qwen3-32b`):
#   PREFLIGHT_DEST   where to; {name}, {base}, {digest} and {date} are filled in
#   PREFLIGHT_BASE   the base that was trained (default: what the directory names)
#   PREFLIGHT_FLAGS  further flags of `preflight push`, quoted as for a shell
#   PREFLIGHT        the command itself, such as .venv/bin/preflight
#
# make cannot hold a space in the name of a target: a directory with one in its path
# needs `preflight push`, or a link without one. Files with spaces in their names go up
# as all others, but make does not see when they change. A second expansion is switched
# on for the rules below the `include`: in their prerequisites `$$` is written `$$$$`.

PREFLIGHT ?= preflight
PREFLIGHT_DEST ?=
PREFLIGHT_BASE ?=
PREFLIGHT_FLAGS ?=

# The recipe reads them from its environment, so that spaces and quotes do no harm.
export PREFLIGHT_DEST PREFLIGHT_BASE

# The files of a directory, less the words that are only half of a name.
preflight_files = $(foreach file,$(wildcard $1/*),$(if $(wildcard $(file)),$(file)))
preflight_quote = '$(subst ','\'',$1)'

.SECONDEXPANSION:
.PRECIOUS: %.imported

# One command: a Makefile with .ONESHELL has no other way to stop in the middle.
%.imported: % $$(call preflight_files,$$(basename $$@))
	$(if $(PREFLIGHT_DEST),,$(error set PREFLIGHT_DEST, such as \
	  oss://my-bucket/models/{name}-{digest}/))$(PREFLIGHT) push \
	  $(call preflight_quote,$*) "$$PREFLIGHT_DEST" \
	  $${PREFLIGHT_BASE:+--base-model "$$PREFLIGHT_BASE"} \
	  --output $(call preflight_quote,$*.failed.json) $(PREFLIGHT_FLAGS) && \
	mv -f $(call preflight_quote,$*.failed.json) $(call preflight_quote,$@)
