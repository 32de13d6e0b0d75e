"""A task function's options, read from its source with `ast`: the task is not imported.

A task's options are its keyword-only parameters. Each has a literal default, an annotation made
of str, int, float, bool, Literal[...], X | None, tuple[X, ...] or list[X], and a line in the
docstring's `Args:` section (Google style). A name assigned once at the top of the same file may
stand for an annotation or a default.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCALARS: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}
ORDER = (bool, int, float, str)
"""Of several types, the narrowest that fits a value is the value's."""

SECTIONS = ("Args:", "Returns:", "Yields:", "Raises:", "Example:", "Examples:", "Note:")


@dataclass(frozen=True)
class Kind:
    """What values an option takes.

    bases are of str, int, float, bool, the first that fits winning; choices are the values of a
    Literal; many: several values make a tuple or list; single: one value alone stays one;
    optional: None too.
    """

    bases: tuple[type, ...] = ()
    choices: tuple[Any, ...] = ()
    many: bool = False
    single: bool = False
    optional: bool = False


@dataclass(frozen=True)
class Parameter:
    """One option: its Python name, what it takes, its default, and its line of help."""

    name: str
    kind: Kind
    default: Any
    help: str


@dataclass(frozen=True)
class Signature:
    """A task function: its docstring without the sections, what it returns, its options."""

    description: str
    returns: str
    parameters: tuple[Parameter, ...]


def read_signature(path: Path, function: str) -> Signature:
    """The signature of a function of that file.

    Raises TypeError for one that can't become a command, since that is a fault of the task.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return signature_of(node, names)
    raise TypeError(f"{path.name} has no function {function}")


def signature_of(node: ast.FunctionDef, names: Mapping[str, ast.expr]) -> Signature:
    """The signature of that function; names are the file's own constants."""
    description, helps = read_docstring(ast.get_docstring(node) or "")
    parameters = []
    for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
        name = argument.arg
        if default is None or argument.annotation is None or name not in helps:
            message = f"{node.name}: {name} needs a default, an annotation and a line under Args:"
            raise TypeError(message)
        value = ast.literal_eval(resolve(default, names))
        kind = read_kind(argument.annotation, names)
        parameters.append(Parameter(name, kind, value, helps[name]))
    returns = ast.unparse(node.returns) if node.returns else "None"
    return Signature(description, returns, tuple(parameters))


def resolve(node: ast.expr, names: Mapping[str, ast.expr]) -> ast.expr:
    """What the node stands for, where it is a name of the same file."""
    return names[node.id] if isinstance(node, ast.Name) and node.id in names else node


def read_kind(annotation: ast.expr, names: Mapping[str, ast.expr]) -> Kind:
    """What an annotation allows; TypeError where a command line could not say it."""
    optional = many = single = False
    bases: list[type] = []
    choices: list[Any] = []
    for part in union(resolve(annotation, names), names):
        if isinstance(part, ast.Constant) and part.value is None:
            optional = True
            continue
        sequence = isinstance(part, ast.Subscript) and is_sequence(part)
        many, single = many or sequence, single or not sequence
        inner = elements(part)[0] if isinstance(part, ast.Subscript) and sequence else part
        for member in union(resolve(inner, names), names):
            found, listed = read_scalar(member)
            bases += found
            choices += listed
    if not bases and not choices:
        raise TypeError(f"an option can't be {ast.unparse(annotation)}")
    ordered = tuple(sorted(set(bases), key=ORDER.index))
    return Kind(ordered, tuple(choices), many, single, optional)


def union(node: ast.expr, names: Mapping[str, ast.expr]) -> list[ast.expr]:
    """The members of X | Y | None."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [*union(node.left, names), *union(node.right, names)]
    return [resolve(node, names)]


def is_sequence(node: ast.Subscript) -> bool:
    """Whether it is tuple[...], list[...] or Sequence[...]."""
    return isinstance(node.value, ast.Name) and node.value.id in {"tuple", "list", "Sequence"}


def elements(node: ast.Subscript) -> list[ast.expr]:
    """What stands between the brackets."""
    return node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]


def read_scalar(node: ast.expr) -> tuple[list[type], list[Any]]:
    """The type that a name stands for, or the values of a Literal."""
    if isinstance(node, ast.Name) and node.id in SCALARS:
        return [SCALARS[node.id]], []
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal":
        return [], [ast.literal_eval(choice) for choice in elements(node)]
    raise TypeError(f"an option can't be {ast.unparse(node)}")


def read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """The text before the first section, and each argument's help in one line."""
    front: list[str] = []
    helps: dict[str, list[str]] = {}
    section = name = ""
    for line in text.splitlines():
        if line.strip() in SECTIONS:
            section = line.strip()
        elif not section:
            front.append(line)
        elif section == "Args:" and line.strip():
            indent = len(line) - len(line.lstrip())
            if indent <= 4:
                name, _, rest = line.strip().partition(":")
                name = name.split(" ")[0].lstrip("*")
                helps[name] = [rest.strip()]
            else:
                helps[name].append(line.strip())
    return "\n".join(front).strip(), {key: " ".join(rows) for key, rows in helps.items()}
