"""Changes to models and set-ups that measurements, remedies and faults share.

Every function takes a set-up and gives another one; nothing live is touched. One that does not apply raises
`RemedyError` at once, and no edit is given that would not run.
"""
