"""Questions made from a document by rules.

questions    makes and selects them
page         the document as the rules see it: sentences, sections, lists
check        whether question and answer hold by the document
falsify      statements made false, for yes/no questions
language_*   words and wording of a language; facts_*: sentence shapes that state a fact
"""
