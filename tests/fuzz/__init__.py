"""Every reader of a stranger's files, fed with anything: by hypothesis in the tests, guided by coverage in `.ci/full`."""
