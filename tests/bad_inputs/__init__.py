"""Bad inputs, one family a module: each ends in one line that names what is wrong and the remedy, and changes nothing.

`case.py` says what a case is and what must be so after it. Options and values of configs are found in the code, so a
new one is covered without a line here.
"""
