from dataclasses import fields

from heygem_daemon.core.job_options import JobOptions
from heygem_daemon.core.render_options import RenderOptions

CONFIGURED = RenderOptions(engine="wav2lip", fit="video", face="left", quality=20, label=True, explain=True)


def test_a_drop_that_names_no_option_gets_those_of_the_configuration() -> None:
    assert CONFIGURED.overridden_by(JobOptions()) == CONFIGURED


def test_a_drop_overrides_what_it_names_even_with_false_or_zero() -> None:
    wanted = JobOptions(engine="rewrite", face="0", quality=0, label=False, text="你好", language="zh", priority=5, zip=True)
    assert CONFIGURED.overridden_by(wanted) == RenderOptions(
        engine="rewrite", fit="video", face="0", quality=0, label=False, explain=True, text="你好", language="zh"
    )


def test_a_drop_may_name_every_option_of_a_render() -> None:
    assert {field.name for field in fields(RenderOptions)} <= {field.name for field in fields(JobOptions)}
