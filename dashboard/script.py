"""The script that Streamlit runs for each reader and each interaction."""

from tocsin.dashboard.app import main

main()
