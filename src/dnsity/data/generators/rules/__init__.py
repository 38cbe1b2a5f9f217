"""Questions made from a document by rules.

questions    makes and selects questions
page         a document in sentences, sections and lists
check        whether the document supports question and answer
falsify      makes statements false, for yes/no questions
(the grammar of a language is in generators/en and generators/ko: rules.py, facts.py)
"""
