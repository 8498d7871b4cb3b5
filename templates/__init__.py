"""The Jinja2 templates of the emitted modules; `gradc.emit.render` reads them as package data."""
