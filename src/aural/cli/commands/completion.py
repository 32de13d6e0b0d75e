"""aural completion: the script that makes a shell complete commands, options and their values."""

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash: aural completion bash > ~/.local/share/bash-completion/completions/aural
    zsh:  aural completion zsh > ~/.zfunc/_aural    (with ~/.zfunc in fpath)
    fish: aural completion fish > ~/.config/fish/completions/aural.fish
    """
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(ctx.find_root().command, {}, "aural", "_AURAL_COMPLETE").source())
