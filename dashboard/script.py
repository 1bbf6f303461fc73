"""The script that Streamlit runs for each reader and each click."""

from tocsin.dashboard.app import main

main()
