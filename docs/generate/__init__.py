"""The pages that are made and not written: each module gives Markdown as text, from files that are the truth.

`site.py` hands them to MkDocs; nothing here is imported by the package.
"""
