"""Chat templates of the kinds that models bring, in short."""

from __future__ import annotations

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WITH_SYSTEM = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are kind.<|im_end|>\n{% endif %}"
    + CHATML
)
"""Writes a system prompt where none is given (SmolLM2, Qwen2.5)."""
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
"""Writes the start token and trims."""
LLAMA32 = (
    "{{ bos_token }}<|start_header_id|>system<|end_header_id|>\n\nToday Date: "
    "{{ strftime_now('%d %b %Y') }}\n\n<|eot_id|>" + LLAMA3.removeprefix("{{ bos_token }}")
)
"""Names the date."""
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}"
    "{% endif %}{% for m in messages %}<start_of_turn>"
    "{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<end_of_turn>\n"
    "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
"""Has no system prompt."""
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }}[/INST]"
    "{% else %} {{ m.content }}</s>{% endif %}{% endfor %}"
)
"""Has a space inside the user's turn and no header of the assistant's."""
PLAIN_WORDS = (
    "{% for m in messages %}{{ 'USER' if m.role == 'user' else 'ASSISTANT' }}: {{ m.content }}\n"
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
"""Has no control tokens at all (Vicuna)."""
QWEN3 = (
    CHATML + "{% if add_generation_prompt and enable_thinking is defined and not enable_thinking %}"
    "<think>\n\n</think>\n\n{% endif %}"
)
"""Reasons before it answers, unless told not to."""

TEMPLATES = {
    "chatml": CHATML,
    "with_system": WITH_SYSTEM,
    "llama3": LLAMA3,
    "llama3.2": LLAMA32,
    "gemma": GEMMA,
    "mistral": MISTRAL,
    "plain_words": PLAIN_WORDS,
    "qwen3": QWEN3,
}

UPPER = CHATML.replace("{{ m.content }}", "{{ m.content | upper }}")
TWICE = CHATML.replace("{{ m.content }}", "{{ m.content }} {{ m.content }}")
FIRST_LINE = CHATML.replace("{{ m.content }}", "{{ m.content.split('\\n')[0] }}")
UNUSABLE = {"upper": UPPER, "twice": TWICE, "first_line": FIRST_LINE}
"""Templates that rewrite, repeat or shorten the user's text."""
