"""Questions made from a document by rules.

questions    makes and selects them
page         the document as the rules see it: sentences, sections, lists
check        whether question and answer hold by the document
falsify      statements made false, for yes/no questions
(the shapes of a language are in generators/en and generators/ko: language.py, facts.py)
"""
