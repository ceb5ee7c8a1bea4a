"""Settings, from the environment (or a file `.env` beside manage.py). A wrong or missing one stops the start with one sentence that names it.

Every variable is listed with its meaning in README.md; on one machine none has to be set, `make run` sets what is needed.
"""

import contextlib
import ipaddress
import os
import re
import secrets
import tempfile
import warnings
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import available_timezones

import environ
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from integration_hub.core import logs

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()


def _switch(name: str, *, default: bool) -> bool:
    """A yes or no. Anything else is refused: a mistyped "yes" must not mean no."""
    value = env.str(name, default="").strip().lower()
    if value in ("1", "true", "yes", "on", "0", "false", "no", "off", ""):
        return value in ("1", "true", "yes", "on") if value else default
    raise ImproperlyConfigured(f"{name} must be true or false, not {value!r}.")


def _one_of(name: str, choices: tuple[str, ...], *, default: str) -> str:
    value = env.str(name, default=default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
    return value


def _number(name: str, *, default: int, least: int, most: int) -> int:
    value = env.str(name, default=str(default))
    if not re.fullmatch(r"[0-9]{1,9}", value) or not least <= int(value) <= most:
        raise ImproperlyConfigured(f"{name} must be a number from {least} to {most}, not {value!r}.")
    return int(value)


# --- where things are -------------------------------------------------------------------------------------------------

TESTING = _switch("HUB_TESTING", default=False)
if not TESTING and (BASE_DIR / ".env").exists():
    if not os.access(BASE_DIR / ".env", os.R_OK):  # read_env would go on without, on a new database of its own
        raise ImproperlyConfigured(f"{BASE_DIR / '.env'} may not be read by this user.")
    environ.Env.read_env(BASE_DIR / ".env")
DEBUG = _switch("DEBUG", default=False)
if os.environ.get("DATA_DIR") == "":  # a path of nothing is the folder one happens to stand in
    raise ImproperlyConfigured(f"DATA_DIR is empty. Set it to a folder, or leave it out for {BASE_DIR / 'data'}.")
DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / "data"))).expanduser().resolve()
try:
    DATA_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
    tempfile.TemporaryFile(dir=DATA_DIR).close()
except OSError as error:
    raise ImproperlyConfigured(f"DATA_DIR is {DATA_DIR}, a folder that cannot be written to: {error.strerror}.") from None
LISTEN = env.str("LISTEN", default="127.0.0.1")  # the address the web server listens at
try:
    ipaddress.ip_address(LISTEN)
except ValueError:
    raise ImproperlyConfigured(f"LISTEN must be an IP address such as 127.0.0.1 or 0.0.0.0, not {LISTEN!r}.") from None
PORT = _number("PORT", default=8000, least=1, most=65535)

# How long the history of runs is kept (syncs/retention.py), and what is left free on the disk (core/space.py)
KEEP_CHANGES_DAYS = _number("KEEP_CHANGES_DAYS", default=90, least=1, most=36_500)
KEEP_CHANGES_GB = _number("KEEP_CHANGES_GB", default=0, least=0, most=1_000_000)
KEEP_LOG_DAYS = _number("KEEP_LOG_DAYS", default=90, least=1, most=36_500)
KEEP_RUNS_DAYS = _number("KEEP_RUNS_DAYS", default=365, least=1, most=36_500)
LEAST_FREE_MB = _number("LEAST_FREE_MB", default=500, least=1, most=1_000_000)

# --- database ---------------------------------------------------------------------------------------------------------

try:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what it cannot read is only warned of, and the password shown with it
        DATABASES = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'hub.sqlite3'}")}
except Exception:
    raise ImproperlyConfigured("DATABASE_URL is not an address such as postgres://user:password@host:5432/hub.") from None
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # WAL + IMMEDIATE: no "database is locked" among many processes. FULL: what was committed survives a power cut. No mmap_size: what is
    # mapped of a growing database counts as memory of each worker, and made nothing quicker. Tests have no power cut.
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": (
            f"PRAGMA journal_mode=WAL;PRAGMA synchronous={'OFF' if TESTING else 'FULL'};PRAGMA journal_size_limit=27103364;PRAGMA cache_size=2000;"
        ),
    }
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}  # a file: workers and threads of the tests share it
elif DATABASES["default"]["ENGINE"].endswith("postgresql"):
    DATABASES["default"].setdefault("OPTIONS", {})["connect_timeout"] = 10
    if TESTING:
        DATABASES["default"]["OPTIONS"]["options"] = "-c synchronous_commit=off"
    DATABASES["default"]["CONN_MAX_AGE"] = 60
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
else:
    raise ImproperlyConfigured("DATABASE_URL must name a PostgreSQL or SQLite database.")
if DATABASES["default"]["NAME"] in ("", ":memory:"):
    raise ImproperlyConfigured("DATABASE_URL names no database; it must be one that several processes can open.")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- secrets, addresses -----------------------------------------------------------------------------------------------


def _secret(name: str) -> str:
    """A secret from the environment; on one machine, made once and kept in the data folder, readable by its owner alone."""
    value = env.str(name, default="")
    if value:
        return value
    if not DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        raise ImproperlyConfigured(f"{name} is not set. Set it to a long random value that all processes share.")
    path = DATA_DIR / name.lower()
    if not path.exists():
        new = f"k1:{secrets.token_urlsafe(32)}" if name == "CREDENTIAL_KEYS" else secrets.token_urlsafe(50)
        with tempfile.NamedTemporaryFile("w", dir=DATA_DIR) as file:  # readable by its owner alone, and whole before it has its name
            file.write(new)
            file.flush()
            os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):  # another process was first
                os.link(file.name, path)
    return path.read_text().strip()


SECRET_KEY = _secret("SECRET_KEY")
if len(SECRET_KEY) < 50 or len(set(SECRET_KEY)) < 5:
    raise ImproperlyConfigured("SECRET_KEY is too short or too plain: it needs 50 random characters or more.")
CREDENTIAL_KEYS = _secret("CREDENTIAL_KEYS")  # keyring of core/crypto.py: "id:key,id:key", the first encrypts

PUBLIC_URL = env.str("PUBLIC_URL", default=f"http://localhost:{PORT}").rstrip("/")  # in e-mails and OAuth return addresses
try:
    _public = urlsplit(PUBLIC_URL)
    _is_address = _public.scheme in ("http", "https") and _public.hostname and _public.port != 0 and not _public.path and not _public.query
except ValueError:
    _is_address = False
if not _is_address:
    raise ImproperlyConfigured(f"PUBLIC_URL must be an address such as https://hub.example.com, without a path, not {PUBLIC_URL!r}.")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=sorted({_public.hostname, "localhost", "127.0.0.1", "[::1]"}))
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[PUBLIC_URL])
if wrong := [origin for origin in CSRF_TRUSTED_ORIGINS if not re.fullmatch(r"https?://[^/\s]+", origin)]:
    raise ImproperlyConfigured(f"CSRF_TRUSTED_ORIGINS must be a list of addresses such as https://hub.example.com, not {wrong[0]!r}.")

try:
    ALLOWED_NETWORKS = [ipaddress.ip_network(n) for n in env.list("ALLOWED_NETWORKS", default=[])]
except ValueError as error:
    raise ImproperlyConfigured(f"ALLOWED_NETWORKS is not a list of networks such as 10.0.0.0/8,192.168.1.0/24: {error}.") from None

ALLOWED_FOLDERS = [Path(folder) for folder in env.list("ALLOWED_FOLDERS", default=[])]  # of this machine, that connectors may open files in
if wrong := [folder for folder in ALLOWED_FOLDERS if not folder.is_absolute() or not folder.is_dir()]:
    raise ImproperlyConfigured(f"ALLOWED_FOLDERS must be a list of full paths of folders such as /srv/exchange,/srv/files, and {wrong[0]} is none.")
ALLOWED_FOLDERS = [folder.resolve() for folder in ALLOWED_FOLDERS]

# --- apps -------------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "integration_hub.core.site.HubAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "axes",
    "csp",
    "django_filters",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "integration_hub.core",
    "integration_hub.accounts",
    "integration_hub.audit",
    "integration_hub.approvals",
    "integration_hub.systems",
    "integration_hub.mappings",
    "integration_hub.syncs",
    "integration_hub.blueprints",
    "integration_hub.api",
]

MIDDLEWARE = [
    "integration_hub.core.middleware.RequestMiddleware",
    "integration_hub.core.middleware.ProxyMiddleware",
    "integration_hub.core.middleware.HealthMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "integration_hub.accounts.middleware.ActorMiddleware",
    "integration_hub.core.language.LanguageMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "integration_hub.urls"
WSGI_APPLICATION = "integration_hub.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ]
        },
    }
]

# --- storage ----------------------------------------------------------------------------------------------------------

STORAGE_IS_OWN = "STORAGE_URL" not in os.environ  # a folder that other machines do not see
STORAGE_URL = env.str("STORAGE_URL", default=f"file://{DATA_DIR / 'storage'}")
if not STORAGE_URL.startswith("file:///"):
    raise ImproperlyConfigured("STORAGE_URL must be a folder such as file:///var/lib/integration-hub/storage.")
STORAGES = {
    "default": {"BACKEND": "integration_hub.core.storage.DurableFileStorage", "OPTIONS": {"location": STORAGE_URL.removeprefix("file://")}},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage" if TESTING else "integration_hub.core.storage.StaticStorage"},
}
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]

# --- work in the background -------------------------------------------------------------------------------------------

# The embedded broker of a hub that runs on this data folder; `manage.py start` writes its address down for other commands.
_embedded = DATA_DIR / "broker.url"
BROKER_URL = env.str("BROKER_URL", default=_embedded.read_text() if _embedded.exists() else f"redis+socket://{DATA_DIR / 'broker.sock'}")
CELERY_BROKER_URL = BROKER_URL
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_IGNORE_RESULT = True  # the state of work is in our tables
CELERY_TASK_TIME_LIMIT = 300
CELERY_WORKER_MAX_TASKS_PER_CHILD = 200
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 400_000
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_TASK_DEFAULT_QUEUE = "bulk"
_scheme = BROKER_URL.partition("://")[0]
try:
    for _address in BROKER_URL.split(";"):  # one behind the other is asked where the first is away
        urlsplit(_address).port  # noqa: B018 raises where it is no number
except ValueError:
    _scheme = ""
# No second try: what could not be sent the sweep sends, and no request waits six seconds for a broker that is away.
_once = {"max_retries": 0}
if _scheme in ("redis", "rediss", "redis+socket"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 600, "unacked_restore_interval": 10, "unacked_restore_throttle": 1, **_once}
elif _scheme in ("amqp", "amqps", "pyamqp"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {"confirm_publish": True, **_once}
elif _scheme == "memory" and TESTING:
    CELERY_BROKER_TRANSPORT_OPTIONS = _once
else:
    raise ImproperlyConfigured(
        "BROKER_URL must be an address of Redis, Valkey or RabbitMQ, such as redis://host:6379/0 or amqp://user:password@host:5672//."
    )
# The static schedule holds the sweeps alone; due times live in rows, so that two schedulers do no harm.
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "integration_hub.core.tasks.sweep", "schedule": 5.0, "options": {"queue": "interactive", "expires": 5}},
}
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "beat-schedule")

# --- people -----------------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator", "NumericPasswordValidator")
]
if TESTING:
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # a good one takes a third of a second for each person of the cast
LOGIN_URL = "admin:login"
LOGOUT_REDIRECT_URL = "admin:login"
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_CALLABLE = "integration_hub.accounts.views.locked_out"
AXES_VERBOSE = False
AXES_ENABLE_ADMIN = False

try:
    vars().update(env.email_url("EMAIL_URL", default="consolemail://"))
except Exception:
    raise ImproperlyConfigured("EMAIL_URL must be the address of a mail server, such as smtp+tls://user:password@mail.example.com:587.") from None
EMAIL_TIMEOUT = 20  # seconds
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", default="integration-hub@localhost")

# --- language and time ------------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
if TIME_ZONE not in available_timezones():
    raise ImproperlyConfigured(f"TIME_ZONE must be the name of a time zone such as Europe/Berlin or Asia/Shanghai, not {TIME_ZONE!r}.")

# --- safety -----------------------------------------------------------------------------------------------------------

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "style-src-attr": ["'unsafe-inline'"],  # widths of progress bars
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
    }
}
HTTPS = _switch("HTTPS", default=_public.scheme == "https")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
BEHIND_PROXY = _switch("BEHIND_PROXY", default=False)
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20_000  # the form of a system with many entities is long

REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "integration_hub.accounts.authentication.BearerToken",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["integration_hub.core.rest.permissions.MayCall"],
    "DEFAULT_PAGINATION_CLASS": "integration_hub.core.rest.paging.KeyPaging",
    "DEFAULT_FILTER_BACKENDS": ["integration_hub.core.rest.input.KnownFilters"],
    "EXCEPTION_HANDLER": "integration_hub.core.rest.problems.problem_handler",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Integration Hub",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "DESCRIPTION": "Everything the console does. Lists page by key, errors are application/problem+json (RFC 9457), launches take an Idempotency-Key.",
    "SERVE_PERMISSIONS": ["integration_hub.core.rest.permissions.MayCall"],
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "SystemState": "integration_hub.systems.models.System.State",
        "RunMode": "integration_hub.syncs.states.Mode",
        "RunState": "integration_hub.syncs.states.RunState",
        "SyncMode": "integration_hub.syncs.states.SYNC_MODES",
        "OpenState": "integration_hub.syncs.states.OpenState",
        "Freshness": "integration_hub.syncs.states.Freshness",
    },
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "integration_hub.core.rest.problems.add_problems"],
}

# --- the console ------------------------------------------------------------------------------------------------------

CSRF_FAILURE_VIEW = "integration_hub.core.pages.csrf_failed"
ENVIRONMENT = env.str("ENVIRONMENT", default="")  # shown in the head of every page: Production, Staging
ORGANISATION = env.str("ORGANISATION", default="")  # shown under the hub's name
UNFOLD = {
    "SITE_TITLE": "Integration Hub",
    "SITE_HEADER": "Integration Hub",
    "SITE_SUBHEADER": ORGANISATION,
    "SITE_URL": None,
    "ENVIRONMENT": "integration_hub.core.pages.environment",
    "SHOW_LANGUAGES": True,
    "SIDEBAR": {"navigation": "integration_hub.core.pages.sidebar"},
    "ACCOUNT": {"navigation": "integration_hub.core.pages.account_links"},
}

LOGGING = logs.settings(
    _one_of("LOG_FORMAT", ("json", "console"), default="json"),
    _one_of("LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), default="INFO"),
)
