# `source` this in every shell in which you run lizrcl, lpad, rlaunch or qlaunch; the jobs of my_qadapter_*.yaml do.
source /CHANGE_ME/.venv/bin/activate
export FW_CONFIG_FILE=/CHANGE_ME/fw_configs/FW_config.yaml
export JOBFLOW_CONFIG_FILE=/CHANGE_ME/fw_configs/jobflow.yaml
export ATOMATE2_CONFIG_FILE=/CHANGE_ME/fw_configs/atomate2.yaml
export LIZRCL_CONFIG_FILE=/CHANGE_ME/fw_configs/lizrcl.toml
# lizrcl.toml names the database; a variable would win over it
unset LIZRCL_DB_URI LIZRCL_DB_NAME
# yours, never overwritten: `module load` lines of VASP, CP2K and GPUMD
if [ -f /CHANGE_ME/fw_configs/site.sh ]; then source /CHANGE_ME/fw_configs/site.sh; fi
# POTCARs of VASP, such as <folder>/POT_GGA_PAW_PBE_54/Li_sv/POTCAR
# export PMG_VASP_PSP_DIR=/CHANGE_ME/potcars
# never compile every module anew in every job
unset PYTHONDONTWRITEBYTECODE
