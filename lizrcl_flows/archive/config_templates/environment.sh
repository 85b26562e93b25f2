# `source` this in every shell in which you run lizrcl, lpad, rlaunch or qlaunch; the jobs of my_qadapter_*.yaml do.
@{activate}
export FW_CONFIG_FILE=@{fw_config}
export JOBFLOW_CONFIG_FILE=@{jobflow}
export ATOMATE2_CONFIG_FILE=@{atomate2}
export LIZRCL_CONFIG_FILE=@{lizrcl}
# lizrcl.toml names the database; a variable would win over it
unset LIZRCL_DB_URI LIZRCL_DB_NAME
# yours, never overwritten: `module load` lines of VASP, CP2K and GPUMD
if [ -f @{site} ]; then source @{site}; fi
# POTCARs of VASP, such as <folder>/POT_GGA_PAW_PBE_54/Li_sv/POTCAR
@{potcars}
# never compile every module anew in every job
unset PYTHONDONTWRITEBYTECODE
