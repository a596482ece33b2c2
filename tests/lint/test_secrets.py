"""What the ``secret`` rule considers a credential, and what it does not.

Keys that look real are put together here from pieces, so that no scanner of this repository takes them for some.
"""

from __future__ import annotations

import json
import os
import string
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.lint.secrets import masked, secrets
from tests.lint.faults import KEY, TOKEN

REPOSITORY = Path(__file__).parents[2]
DATA = Path(os.environ.get("RECONCILER_TEST_DATA", REPOSITORY.parent / "shared" / "data"))

#: Random characters, cut to the length that a form asks for.
MIXED = "9fQ2mXv7LrT4bNc8ZkWd3HsYp6GaJ1uEo5RtKx0VwBnC" * 8
HEX = "4f9a03d7e16b82c5a7d0e93f1b6c48250d9e7f3a" * 4
UPPER = "Q3EGUPWZ7VJ2M4XD5TRNK6HB8CYS9LAF" * 2


def test_secrets_in_real_personas() -> None:
    file = DATA / "personas.jsonl"
    if not file.is_file():
        pytest.skip(f"{file} is not here")
    prompts = [json.loads(line)["prompt"] for line in file.read_text(encoding="utf-8").splitlines()]
    warned = [prompt for prompt in prompts if list(secrets(prompt))]
    assert len(warned) <= len(prompts) / 100


#: What issuers document of their credentials.
ISSUED = {
    "OpenAI": ("sk-" + "proj-" + MIXED[:80], "an API key"),
    "OpenAI, old": ("sk-" + MIXED[:48], "an API key"),
    "Anthropic": ("sk-ant-" + "api03-" + MIXED[:93] + "AA", "an API key"),
    "OpenRouter": ("sk-or-" + "v1-" + HEX[:64], "an API key"),
    "DeepSeek": ("sk-" + HEX[:32], "an API key"),
    "in a sentence": (f"use {KEY}.", "an API key"),
    "Groq": ("gsk_" + MIXED[:52], "an API key"),
    "xAI": ("xai-" + MIXED[:80], "an API key"),
    "Perplexity": ("pplx-" + MIXED[:48], "an API key"),
    "Replicate": ("r8_" + MIXED[:37], "an API key"),
    "Coze": ("pat_" + MIXED[:64], "an API key"),
    "Hugging Face": ("hf_" + MIXED[:34], "a Hugging Face token"),
    "GitHub": (TOKEN, "a GitHub token"),
    "GitHub App": ("ghs_" + MIXED[:36], "a GitHub token"),
    "GitHub, fine-grained": ("github_pat_" + MIXED[:22] + "_" + MIXED[22:81], "a GitHub token"),
    "GitLab": ("glpat-" + MIXED[:20], "a GitLab token"),
    "GitLab, routable": ("glpat-" + MIXED[:27] + ".01." + MIXED[:9], "a GitLab token"),
    "GitLab runner": ("glrt-" + MIXED[:20], "a GitLab token"),
    "GitLab deploy": ("gldt-" + MIXED[:20], "a GitLab token"),
    "npm": ("npm_" + MIXED[:36], "an npm token"),
    "PyPI": ("pypi-" + "AgEIcHlwaS5vcmc" + MIXED[:120], "a PyPI token"),
    "Docker": ("dckr_" + "pat_" + MIXED[:27], "a Docker token"),
    "AWS": ("AKIA" + UPPER[:16], "an AWS access key"),
    "AWS, for a time": ("ASIA" + UPPER[:16], "an AWS access key"),
    "Google": ("AIza" + MIXED[:35], "a Google API key"),
    "Google OAuth": ("GOCSPX-" + MIXED[:28], "a Google API key"),
    "Alibaba Cloud": ("LTAI" + MIXED[:20], "an Alibaba Cloud access key"),
    "Tencent Cloud": ("AKID" + MIXED[:32], "a Tencent Cloud access key"),
    "DigitalOcean": ("dop_v1_" + HEX[:64], "a DigitalOcean token"),
    "Databricks": ("dapi" + HEX[:32], "a Databricks token"),
    "Vault": ("hvs." + MIXED[:95], "a Vault token"),
    "Supabase": ("sb_secret_" + MIXED[:31], "a Supabase key"),
    "Slack": ("xoxb-" + "283746152039-2837461520394-" + MIXED[:24], "a Slack token"),
    "Slack app": ("xapp-" + "1-A0283746152-2837461520394-" + HEX[:64], "a Slack token"),
    "Slack webhook": (
        "https://hooks." + "slack.com/services/T02837461/B02837461/" + MIXED[:24],
        "a Slack webhook",
    ),
    "Discord webhook": (
        "https://discord.com/" + "api/webhooks/283746152039/" + MIXED[:68],
        "a Discord webhook",
    ),
    "Telegram": ("2837461520:AA" + MIXED[:33], "a Telegram bot token"),
    "Stripe": ("sk_live_" + MIXED[:24], "a Stripe key"),
    "Stripe, restricted": ("rk_test_" + MIXED[:24], "a Stripe key"),
    "Stripe webhook": ("whsec_" + MIXED[:32], "a Stripe key"),
    "SendGrid": ("SG." + MIXED[:22] + "." + MIXED[:43], "a SendGrid key"),
    "Twilio": ("SK" + HEX[:32], "a Twilio key"),
    "Shopify": ("shpat_" + HEX[:32], "a Shopify token"),
    "Notion": ("ntn_" + MIXED[:46], "a Notion token"),
    "Linear": ("lin_" + "api_" + MIXED[:40], "a Linear key"),
    "JSON Web Token": ("eyJ" + MIXED[:30] + ".eyJ" + MIXED[:80] + "." + MIXED[:43], "a JSON Web Token"),
    "OpenSSH": ("-----BEGIN OPENSSH " + "PRIVATE KEY-----", "a private key"),
    "PKCS 8": ("-----BEGIN " + "PRIVATE KEY-----", "a private key"),
    "PGP": ("-----BEGIN PGP " + "PRIVATE KEY BLOCK-----", "a private key"),
    "age": ("AGE-SECRET-KEY-1" + UPPER[:58], "a private key"),
}

#: What stands beside a name or in an address that says what it is.
ASSIGNED = {
    "this program's": ("MINDCRAFT_API_KEY=" + MIXED[:40], "a key or a password"),
    "OpenAI's, by its form": ("OPENAI_API_KEY=" + KEY, "an API key"),
    "exported": ("export MINDCRAFT_API_KEY='" + MIXED[:32] + "'", "a key or a password"),
    "AWS, in a profile": ("aws_secret_access_key = " + MIXED[:38] + "/K", "a key or a password"),
    "AWS, in the environment": ("AWS_SECRET_ACCESS_KEY=" + MIXED[:40], "a key or a password"),
    "Azure": ("DefaultEndpointsProtocol=https;AccountKey=" + MIXED[:86] + "==", "a key or a password"),
    "one of two": ("DEEPSEEK_API_KEY_2: " + HEX[:32], "a key or a password"),
    "of production": ("APP_TOKEN_PROD=" + MIXED[:24], "a key or a password"),
    "camel case": ("openaiApiKey: " + MIXED[:24], "a key or a password"),
    "JSON": ('"client_secret": "' + MIXED[:24] + '"', "a key or a password"),
    "a header": ("X-Api-Key: " + MIXED[:24], "a key or a password"),
    "Python": ("api_key = '" + MIXED[:22] + "'", "a key or a password"),
    "Ruby": (":token => '" + MIXED[:22] + "'", "a key or a password"),
    "a UUID": ("HEROKU_API_KEY=" + "9c1e07b4-52d8-4f3a-b6e9-0d7f48a2c315", "a key or a password"),
    "a flag": ("curl --api-key " + MIXED[:24], "a key or a password"),
    "in Chinese": ("密钥：" + MIXED[:24], "a key or a password"),
    "bearer": ("Authorization: Bearer " + MIXED[:28], "a bearer token"),
    "PostgreSQL": ("postgres://till:" + "h7Kq2ZpW@db.shop:5432/till", "a password in an address"),
    "MongoDB": ("mongodb+srv://till:" + "h7Kq2ZpW@cluster0.shop.net/till", "a password in an address"),
    "Redis, without a user": ("redis://:" + "h7Kq2ZpW@cache.shop:6379/0", "a password in an address"),
    "a database": ("DB_PASSWORD=" + "h7Kq2ZpW", "a password"),
    "PostgreSQL's variable": ("PGPASSWORD=" + "s3cr3t-pg-Pw", "a password"),
    "MySQL": ("MYSQL_ROOT_PASSWORD: " + "Tr0ub4dor&3", "a password"),
    "short": ("SMTP_PASS=" + "h7Kq2ZpW!", "a password"),
    "with a dollar sign": ("db_password: " + "h7K$q2Zp%W", "a password"),
    "password, in Chinese": ("密码：" + "h7Kq2ZpW", "a password"),
}


@pytest.mark.parametrize(
    ("text", "kind"),
    [*ISSUED.values(), *ASSIGNED.values()],
    ids=[*ISSUED, *ASSIGNED],
)
def test_a_secret(text: str, kind: str) -> None:
    [secret] = secrets(text)
    assert secret.kind == kind
    found = text[secret.start : secret.end]
    assert masked(text) == text.replace(found, found[: secret.shown] + "…")
    assert secret.shown <= 4


@pytest.mark.parametrize("text", [text for text, _ in ISSUED.values()], ids=ISSUED.keys())
@pytest.mark.parametrize(
    "around", ["{}", "用{}吧", "MY_THING_KEY={}", "`{}`", "({})", "a\n{}\nb", "key={}&a=b"]
)
def test_a_secret_is_found_wherever_it_stands(text: str, around: str) -> None:
    found = list(secrets(around.format(text)))
    assert len(found) == 1
    assert masked(around.format(text)).count("…") == 1


@pytest.mark.parametrize(
    "text",
    [
        # Placeholders.
        "sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "sk-your-key-goes-here-between-these",
        "AKIAIOSFODNN7EXAMPLE",
        "MINDCRAFT_API_KEY=<your key>",
        "MINDCRAFT_API_KEY=your-mindcraft-api-key-1",
        "MINDCRAFT_API_KEY=xxxxxxxxxxxxxxxxxxxx",
        "MINDCRAFT_API_KEY=…",
        "MINDCRAFT_API_KEY=...",
        "DB_PASSWORD=changeme",
        "DB_PASSWORD=change_me_1",
        "DB_PASSWORD=********",
        "DB_PASSWORD=<password>",
        "DB_PASSWORD=",
        "https://user:password@example.com",
        # References.
        "api_key: ${API_KEY}",
        "OPENAI_API_KEY=$OPENAI_API_KEY_2",
        "DB_PASSWORD=%DB_PASSWORD_1%",
        "Authorization: Bearer {{token}}",
        "api_key = os.environ['OPENAI_API_KEY_2']",
        "apiKey: process.env.OPENAI_API_KEY_2",
        "password: ${{ secrets.DB_PASSWORD_1 }}",
        "postgres://till:${PASSWORD}@db.shop/till",
        # Prose and names.
        "task-oriented-and-well-organised-answers",
        "risk-management-in-small-enterprises-2024",
        "ask-me-anything-about-the-1990s-and-2000s",
        "password: a secret that you never tell",
        "password: at-least-8-characters",
        "password: 8-16characters",
        "Password: swordfish",
        "密码：至少8位，包含大写字母",
        "secret: meet-me-at-the-pier-at-10pm-sharp",
        "The secret: gate-7-of-pier-2024-north",
        "max_tokens: 4000",
        "max_token=20240513101530",
        "The bearer of this letter-of-recommendation-from-1893",
        "compass: N42W7-to-E13S5x",
        "public_key: " + MIXED[:40],
        "primary_key: " + MIXED[:40],
        "monkey: " + MIXED[:40],
        "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
        "commit " + HEX[:40],
        "sha256:" + HEX[:64],
        "https://mindcraft.com.cn:8080/a@b",
    ],
)
def test_no_secret(text: str) -> None:
    assert list(secrets(text)) == []


@given(
    st.lists(
        st.sampled_from([*(text for text, _ in ISSUED.values()), "one ", "\n", "x = ", "。"]), max_size=20
    )
)
def test_secrets_are_in_order_and_apart(parts: list[str]) -> None:
    found = list(secrets(" ".join(parts)))
    assert all(one.end <= other.start for one, other in pairwise(found))


@given(st.text(st.sampled_from(string.ascii_letters + string.digits + "-_=:./@ "), max_size=300))
def test_nothing_that_is_masked_is_found_again(text: str) -> None:
    line = masked(text)
    assert masked(line) == line
