"""Verdicts of the official judge of function calls, on the bare standard library.

usage: bfcl_ast_checker.py WHEEL < answers.jsonl > verdicts.jsonl

An answer is {"category": .., "id": .., "calls": [{name: arguments}, ..]}, a verdict [valid, name of the error]; the name
begins with "raises " where the judge fails with an exception.
"""

import ast
import json
import sys
import types
import zipfile

wheel = sys.argv[1]
sys.path.insert(0, wheel)


class Models(dict):
    """Whatever the model, dots in names are shown as underscores."""

    def __getitem__(self, name):
        return types.SimpleNamespace(underscore_to_dot=True)


stub = types.ModuleType("bfcl_eval.constants.model_config")
stub.MODEL_CONFIG_MAPPING = Models()
sys.modules[stub.__name__] = stub

from bfcl_eval.constants.enums import Language
from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker

archive = zipfile.ZipFile(wheel)
# The module imports more than the standard library; two of its functions are all that is needed.
wanted = ("is_function_calling_format_output", "is_empty_output")
utils = ast.parse(archive.read("bfcl_eval/utils.py"))
utils.body = [node for node in utils.body if getattr(node, "name", None) in wanted]
exec(compile(utils, "utils", "exec"))


def lines(name):
    text = archive.read("bfcl_eval/data/" + name).decode()
    return [json.loads(line) for line in text.splitlines() if line.strip()]


known = {}


def case_of(category, id):
    if category not in known:
        cases = lines(f"BFCL_v4_{category}.json")
        accepted = [None] * len(cases)
        if "relevance" not in category:
            accepted = [line["ground_truth"] for line in lines(f"possible_answer/BFCL_v4_{category}.json")]
        assert len(cases) == len(accepted)
        known[category] = {case["id"]: (case["function"], key) for case, key in zip(cases, accepted)}
    return known[category][id]


def verdict(category, id, calls):
    functions, accepted = case_of(category, id)
    if "relevance" in category:
        called = not is_empty_output(calls)
        return called != ("irrelevance" in category), None
    if not is_function_calling_format_output(calls):
        return False, "ast_decoder:decoder_wrong_output_format"
    language = Language.PYTHON
    if "javascript" in category:
        language = Language.JAVASCRIPT
    elif "java" in category:
        language = Language.JAVA
    found = ast_checker(functions, calls, accepted, language, category, "any")
    return found["valid"], found.get("error_type")


for line in sys.stdin:
    answer = json.loads(line)
    try:
        result = verdict(answer["category"], answer["id"], answer["calls"])
    except Exception as error:
        result = False, f"raises {type(error).__name__}"
    print(json.dumps(result))
