"""Steps that tell people and other systems: Slack, mail, signed webhooks."""

from typing import Any

from engine.plugin import hookimpl
from plugins.notify.email import EmailConfig, Mailed, send_email
from plugins.notify.slack import Posted, SlackConfig, post_to_slack
from plugins.notify.webhook import Delivered, WebhookConfig, deliver


@hookimpl
def register_steps(register: Any) -> None:
    register("notify.slack", post_to_slack, config=SlackConfig, effect="effect", result=Posted, timeout=60.0)
    register("notify.email", send_email, config=EmailConfig, effect="effect", result=Mailed, timeout=120.0)
    register("notify.webhook", deliver, config=WebhookConfig, effect="idempotent", result=Delivered, timeout=60.0)
